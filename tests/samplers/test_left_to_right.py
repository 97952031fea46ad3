"""`args`, `chunk-beam` and `smc`: against plain loops, against the enumerated law, and what their options do."""

from __future__ import annotations

import pytest
import torch

from sea_toolkit.core.noise import Noise
from sea_toolkit.lm.decoding import decode
from sea_toolkit.samplers.args import Args
from sea_toolkit.samplers.chunk_beam import ChunkBeam
from sea_toolkit.samplers.shared.left_to_right import energy_so_far, value_so_far
from sea_toolkit.samplers.smc import Smc
from sea_toolkit.testing.toys import EOS, PULL, Toy, doubles, policy
from tests.helpers import PROMPTS, noise_for, problem_for, run_for

TOY = Toy(5, 3, reference=0.5)


def prefix_energy(toy, ids):
    """The rewards' energy of a text so far, one by one."""
    model = toy.problem("args", 1).policy
    text = [model.tokenizer.decode(ids)]
    return 1.2 * PULL(model.table).of([i for i in ids if i != EOS]) - 0.8 * doubles([], text)[0]


def test_the_energy_so_far_is_that_of_the_text():
    problem = TOY.problem("args", 1)
    ids = torch.tensor([[[1, 2], [3, 3], [4, EOS], [EOS, EOS]]])
    found = energy_so_far(problem, ids)[0]
    expected = torch.tensor([prefix_energy(TOY, row) for row in ids[0].tolist()])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


# --- args -----------------------------------------------------------------------------------------------------------


def args_by_hand(toy, top_k):
    """ARGS-greedy, written as a loop over plain numbers."""
    model = toy.problem("args", 1).policy
    prompt, ids = model.tokenizer("ab").input_ids, []
    while len(ids) < toy.length and EOS not in ids:
        with torch.no_grad():
            logp = model.model(input_ids=torch.tensor([[*prompt, *ids]])).logits[0, -1].log_softmax(-1)
        scores = {
            int(v): toy.reference * float(logp[v]) - prefix_energy(toy, [*ids, int(v)])
            for v in logp.topk(top_k).indices
        }
        ids.append(max(scores, key=scores.__getitem__))
    return ids + [EOS] * (toy.length - len(ids))


@pytest.mark.parametrize("toy", [TOY, Toy(6, 4), Toy(4, 4, reference=2.0)])
@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_greedy_args_is_the_loop(toy, top_k):
    sampler, problem = toy.build({"name": "args", "top_k": top_k}, 3)
    ids, log_prob = sampler.write(problem, Noise([1]).uniform(3, toy.length), [top_k] * toy.length, True)
    assert ids[0, 0].tolist() == args_by_hand(toy, top_k)
    expected = problem.policy.log_prob(problem.prefix, ids)
    alive = problem.score_as_text(ids).length[0].long()
    for c in range(3):
        n = int(alive[c])
        torch.testing.assert_close(log_prob[0, c, :n], expected[0, c, :n], atol=1e-5, rtol=1e-4)
        assert bool((log_prob[0, c, n:] == 0).all())


def test_args_draws_by_score():
    """The first token's law over many chains."""
    problem = TOY.problem("args", 4000)
    for temperature in (0.5, 2.0):
        sampler = Args(top_k=3, temperature=temperature, greedy=False)
        first = sampler.write(problem, Noise([2]).uniform(4000, TOY.length), [3] * 3, False)[0][0, :, 0]
        logp = problem.policy.logits(problem.prefix.last_hidden)[0].log_softmax(-1)
        top = logp.topk(3).indices.tolist()
        scores = torch.tensor([0.5 * float(logp[v]) - prefix_energy(TOY, [v]) for v in top])
        law = torch.zeros(TOY.vocab).scatter(0, torch.tensor(top), (scores / temperature).softmax(-1))
        assert float((torch.bincount(first, minlength=TOY.vocab) / 4000 - law).abs().sum()) / 2 < 0.04


def test_args_is_greedy_once_if_at_all():
    problem = problem_for(sampler="args", chains=3)
    texts = {}
    for greedy in (True, False):
        sampler, noise = Args(greedy=greedy), noise_for(problem)
        state = sampler.init(problem, noise)[0]
        first = sampler.step(problem, state, noise)[0]
        second = sampler.step(problem, first, noise)[0]
        texts[greedy] = first.ids, second.ids
        assert second.passes == 2
    assert not torch.equal(texts[True][0][:, 0], texts[False][0][:, 0])
    assert torch.equal(texts[True][0][:, 1:], texts[False][0][:, 1:])
    assert torch.equal(texts[True][1], texts[False][1])


def no_b(prompts, texts):
    """Texts with a b cannot be read."""
    return [float("nan") if "b" in text else 0.0 for text in texts]


class Fussy(Toy):
    @property
    def terms(self):
        return super().terms | {"no b": (1.0, no_b)}


def test_candidates_that_no_reward_can_read_are_out():
    met = {}
    for kind in (Toy, Fussy):
        problem = kind(5, 4).problem("args", 200)
        met[kind] = Args(top_k=4).write(problem, Noise([0]).uniform(200, 4), [4] * 4, False)[0]
    assert bool((met[Toy] == 2).any())
    assert not bool((met[Fussy] == 2).any())


# --- chunk-beam -----------------------------------------------------------------------------------------------------


def test_one_chunk_is_best_of_k():
    toy = Toy(5, 3)
    problem = toy.problem("chunk-beam", 2)
    sampler, noise = ChunkBeam(successors=6, chunk=8), Noise([3])
    state, info = sampler.step(problem, sampler.init(problem, Noise([1]))[0], noise)
    drawn = decode(problem.policy, problem.prefix, Noise([3]).uniform(12, 3)).ids
    assert torch.equal(info.scored.ids, drawn)
    best = problem.score_as_text(drawn).energies.total[0].topk(2, largest=False).indices
    assert torch.equal(state.ids[0], drawn[0, best])


@pytest.mark.parametrize("rank", ["energy", "rewards"])
def test_chunk_beam_is_the_search_by_hand(rank):
    toy, k, w = Toy(5, 3, reference=2.0), 3, 2
    problem = toy.problem("chunk-beam", w)
    policy = problem.policy
    sampler, uniform = ChunkBeam(successors=k, chunk=1, rank=rank), Noise([5]).uniform(w * k, 3)
    state, _ = sampler.step(problem, sampler.init(problem, Noise([1]))[0], Noise([5]))
    beams = [[] for _ in range(w)]
    for t in range(3):
        successors = []
        for i, beam in enumerate(beam for beam in beams for _ in range(k)):
            if EOS in beam:
                if i % k == 0:
                    successors.append(beam)
                continue
            start = torch.tensor([[beam]]) if beam else None
            token = decode(policy, problem.prefix, uniform[:, i : i + 1, t : t + 1], start=start).ids
            successors.append([*beam, int(token)])

        def value(ids, last=t == 2):
            energy = prefix_energy(toy, ids)
            if rank == "rewards" and not last:
                return energy
            logp = policy.log_prob(problem.prefix, torch.tensor([[ids]]))
            return energy - 2.0 * float(logp.sum())

        beams = sorted(successors, key=value)[:w]
    assert state.ids[0].tolist() == [b + [EOS] * (3 - len(b)) for b in beams]


# --- smc ------------------------------------------------------------------------------------------------------------


def often_resampled(**options):
    sampler, problem = TOY.build({"name": "smc", "chunk": 1, "particles": 16, **options}, 8)
    noise = Noise.for_prompts(problem.prompts, 0)
    state = sampler.step(problem, sampler.init(problem, noise)[0], noise)[
        0
    ]  # scouts, which nothing weighs on their way
    return sampler.step(problem, state, noise)[1].metrics["resampled"].mean()


def test_the_threshold_the_chunk_and_the_twist_decide_how_often_particles_are_resampled():
    assert [float(often_resampled(**o)) for o in ({"ess": 0.0}, {"ess": 1.0}, {"ess": 1.0, "chunk": 2})] == [0, 2, 1]
    assert float(often_resampled(ess=0.9, twist=0.0)) == 0.0
    assert float(often_resampled(ess=0.3)) < float(often_resampled(ess=0.9))


def test_an_unfinished_text_is_worth_the_root_of_its_part_and_one_that_has_ended_all_of_it():
    problem = TOY.problem("smc", 1)
    ids = torch.tensor([[[1, 2], [3, 3], [4, EOS]]])
    expected = energy_so_far(problem, ids) * torch.tensor([(2 / 3) ** 0.5, (2 / 3) ** 0.5, 1.0])
    torch.testing.assert_close(value_so_far(problem, ids), expected)


def test_energies_that_are_infinite_for_all_particles_leave_the_chains_where_they_are():
    def never(response):
        return response.expected_length() * 0 + torch.inf

    problem = problem_for({"never": (1.0, never)}, sampler="smc", chains=2)
    sampler, noise = Smc(particles=4), noise_for(problem)
    state = sampler.init(problem, noise)[0]
    assert torch.equal(sampler.step(problem, state, noise)[0].ids, state.ids)


# --- all ------------------------------------------------------------------------------------------------------------

NEW = ["args", "chunk-beam", "smc"]
SLOW = [*NEW, "discrete-langevin", "mala", "psgld"]


@pytest.mark.parametrize("sampler", SLOW)
def test_a_prompt_alone_is_a_prompt_among_others(sampler):
    settings = {"sampler": sampler, "steps": 4, "chains": 2}
    together = run_for(prompts=PROMPTS, **settings).execute()
    for prompt, expected in zip(PROMPTS, together, strict=True):
        (alone,) = run_for(prompts=[prompt], **settings).execute()
        assert alone.response == expected.response
        assert alone.energy == pytest.approx(expected.energy, abs=1e-3)


@pytest.mark.parametrize("sampler", SLOW)
def test_the_chosen_text_is_no_worse_than_the_start_and_the_seed_decides(sampler):
    settings = {"sampler": sampler, "steps": 4, "seed": 1}
    first, again = run_for(**settings).execute(), run_for(**settings).execute()
    other = run_for(**settings | {"seed": 2}).execute()
    for one, two in zip(first, again, strict=True):
        assert one.energy[1] <= one.energy[0]
        assert all(c["energy"] <= c["start_energy"] for c in one.chains)
        assert one.response == two.response
        assert one.energy == two.energy
    assert [r.chains for r in first] != [r.chains for r in other]


@pytest.mark.parametrize("sampler", ["args", "chunk-beam"])
def test_the_first_pass_is_as_wide_as_the_budget_affords(sampler):
    """The reward here costs more per token than the policy."""

    class Costly:
        def bind(self, context):
            model = context.use_model("reward:costly", torch.nn.Linear(100, 100, bias=False))

            def energy(response):
                model(torch.zeros(*response.ids.shape, 100))
                return -20.0 * response.expected_length()  # texts go on as long as they can

            return energy

    wide = {"args": {"top_k": 6}, "chunk-beam": {"successors": 40, "chunk": 4}}
    options, spent, width = {"name": sampler, **wide[sampler]}, [], []
    for budget in (12, 24, 1000):
        settings = {"sampler": options, "budget": budget, "chains": 1, "max_new_tokens": 12, "stop_after": 1}
        events = []
        run = run_for(
            policy=policy(6), prompts=["ab"], energies={"costly": (1.0, Costly())}, on_event=events.append, **settings
        )
        run.execute()
        spent.append(run.problem.ledger.samples)
        width.append(next(max(map(max, e.metrics["width"])) for e in events if e.kind == "step"))
    assert spent[0] < 12 * 1.05
    assert spent[0] < spent[1] < 24 * 1.05
    assert spent[1] < spent[2] < 1000
    assert 1 < width[0] < width[1] < width[2] == max(wide[sampler].values())
