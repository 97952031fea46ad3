"""Reading csv, tsv and jsonl, also gzipped, and what is said about files that are wrong."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from sea_toolkit.errors import RecipeError
from sea_toolkit.training.examples import last_turn, read_examples
from sea_toolkit.util.broken_lines import BrokenLines
from sea_toolkit.util.conversation import as_prompts
from sea_toolkit.util.prompts import read_prompts
from sea_toolkit.util.tables import Source, read_rows


def rows_of(path, content, /, **settings):
    path.write_bytes(gzip.compress(content.encode()) if path.suffix == ".gz" else content.encode())
    return read_rows(Source(path, settings))


def examples_of(path, content, /, **settings):
    rows_of(path, content, **settings)
    return read_examples([Source(path, settings)], "auto", 1000, 0, at_least=4)


@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_csv_with_line_breaks_quotes_and_byte_order_mark(tmp_path, ending):
    text = '\ufefftext,label\r\n"two\nlines, ""quoted""",1\r\nplain,0\r\n'
    rows = rows_of(tmp_path / f"d.{ending}", text)
    assert rows == [{"text": 'two\nlines, "quoted"', "label": "1"}, {"text": "plain", "label": "0"}]


def test_tsv_without_header_and_with_a_lone_quotation_mark(tmp_path):
    rows = rows_of(tmp_path / "d.tsv.gz", '1\t2.5\t"so it goes\r\n2\t-1\tfine\r\n', text="3", label="2")
    assert rows == [{"1": "1", "2": "2.5", "3": '"so it goes'}, {"1": "2", "2": "-1", "3": "fine"}]


def test_numbers_can_be_names_in_a_header(tmp_path):
    assert rows_of(tmp_path / "d.csv", "1,2\nx,1\n", text="1", label="2", header="yes") == [{"1": "x", "2": "1"}]


def test_jsonl(tmp_path):
    text = '{"text": "a\\u2028b", "label": true}\n\n{"text": "c\u2028d", "label": false}\n'
    assert rows_of(tmp_path / "d.jsonl", text) == [
        {"text": "a\u2028b", "label": True},
        {"text": "c\u2028d", "label": False},
    ]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"", "is empty"),
        ("d.csv", b"text,label\n", "has a header and no rows"),
        ("d.csv", b"text,label\na,1\nb\n", "row 2 has 1 cells"),
        ("d.csv", b"\xff\xfe\x00", "cannot be read"),
        ("d.csv.gz", b"no gzip at all", "cannot be read"),
        ("d.csv.gz", gzip.compress(b"text,label\na,1\n" * 99, mtime=0)[:-12], "cannot be read"),
        ("d.jsonl", b'{"text": 1}\n{"te', "line 2 is not JSON"),
        ("d.jsonl", b"[1]\n", "line 1 is a list"),
        ("d.xlsx", b"PK", "unknown kind"),
    ],
)
def test_bad_files(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        read_rows(Source(tmp_path / name, {}))


def test_file_settings(tmp_path):
    (tmp_path / "d.csv").write_text("x")
    source = Source.parse(f"{tmp_path}/d.csv::text=tweet,positive=0+1", {"text": "t", "label": "l"})
    assert source.settings == {"text": "tweet", "positive": "0+1", "label": "l"}
    with pytest.raises(RecipeError, match="did you mean 'threshold'"):
        Source.parse(f"{tmp_path}/d.csv::treshold=1", {})
    with pytest.raises(RecipeError, match="there is no file"):
        Source.parse(f"{tmp_path}/absent.csv", {})


def test_labels_by_value_name_threshold_and_fixed(tmp_path):
    table = "text,label\na,0\nb,1\nc,2\nd,0\ne,1\nf,2\n"
    assert examples_of(tmp_path / "d.csv", table, positive="0+1").labels == [1, 1, 0, 1, 1, 0]
    chosen = examples_of(tmp_path / "d.csv", table, positive="2", negative="0")
    assert (chosen.texts, chosen.labels) == (["a", "c", "d", "f"], [0, 1, 0, 1])
    rated = examples_of(tmp_path / "d.csv", table, threshold="1", gap="0.5")
    assert (rated.texts, rated.labels) == (["a", "c", "d", "f"], [0, 1, 0, 1])
    with pytest.raises(RecipeError, match="the labels are 0, 1, 2") as caught:
        examples_of(tmp_path / "d.csv", table)
    assert "--threshold" in str(caught.value)
    with pytest.raises(RecipeError, match="6 positive and 0 negative"):
        examples_of(tmp_path / "d.csv", table, all="1")
    with pytest.raises(RecipeError, match="a rating is not a number"):
        examples_of(tmp_path / "d.csv", "text,label\na,good\nb,bad\n", threshold="0")


def test_a_missing_column_lists_those_there_are(tmp_path):
    with pytest.raises(RecipeError, match="no column 'text'; it has 'tweet', 'class'"):
        examples_of(tmp_path / "d.csv", "tweet,class\na,1\n")


def test_too_few_rows(tmp_path):
    (tmp_path / "d.csv").write_text("text,label\na,1\nb,0\n")
    with pytest.raises(RecipeError, match="2 usable rows"):
        read_examples([Source(tmp_path / "d.csv", {})], "auto", 10, 0)


def dialogue(question: str, answer: str) -> str:
    return f"\n\nHuman: {question}\n\nAssistant: {answer}"


def test_pairs_read_the_last_turn_and_group_by_the_first_question(tmp_path):
    rows = [
        {"chosen": dialogue("Q", "good"), "rejected": dialogue("Q", "bad")},
        {
            "chosen": dialogue("Q", "mid") + dialogue("R", "better"),
            "rejected": dialogue("Q", "mid") + dialogue("R", "no"),
        },
        {"chosen": dialogue("S", "same"), "rejected": dialogue("S", "same")},
        {"chosen": dialogue("S", ""), "rejected": dialogue("S", "x")},
        {"chosen": "plain good", "rejected": "plain bad"},
        {"chosen": "other good", "rejected": "other bad"},
    ]
    found = examples_of(tmp_path / "d.jsonl", "\n".join(map(json.dumps, rows)))
    assert found.pairs
    assert found.texts == ["good", "better", "plain good", "other good"]
    assert found.others == ["bad", "no", "plain bad", "other bad"]
    assert found.groups[0] == found.groups[1] == "\n\nHuman: Q"
    assert len(set(found.groups)) == 3
    assert last_turn("no marker") == ("", "no marker")


def test_rows_are_drawn_by_seed(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("text,label\n" + "".join(f"t{i},{i % 2}\n" for i in range(100)))

    def draw(seed):
        return read_examples([Source(path, {})], "labels", 30, seed, at_least=4).texts

    assert len(draw(0)) == 30
    assert draw(0) == draw(0) != draw(1)


def test_broken_rows_are_left_out_and_named_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("prompt,id\nx,1\ny\n ,3\nz,4\n")
    broken = BrokenLines(skip=True)
    assert read_prompts(tmp_path / "a.csv", None, broken) == ["x", "z"]
    assert [line.removeprefix(f"{tmp_path}/") for line in broken.skipped] == [
        "a.csv: row 2 has 1 cells", f"'prompt' of {tmp_path}/a.csv, row 3 is empty"
    ]  # fmt: skip
    (tmp_path / "b.jsonl").write_text('{"prompt": []}\n')
    with pytest.raises(RecipeError, match="every row is broken"):
        read_prompts(tmp_path / "b.jsonl", None, BrokenLines(skip=True))


def test_parquet_is_a_table_with_conversations_in_it(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="the extra data is not installed")
    pytest.importorskip("pyarrow.parquet")
    turns = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]
    arrow.parquet.write_table(arrow.Table.from_pylist([{"messages": turns, "id": 7}]), tmp_path / "a.parquet")
    (prompt,) = read_prompts(tmp_path / "a.parquet")
    assert (prompt.to_data(), dict(prompt.columns)) == (turns, {"id": 7})
    (tmp_path / "b.parquet").write_bytes(b"no")
    with pytest.raises(RecipeError, match="expected: a parquet file"):
        read_prompts(tmp_path / "b.parquet")


def test_a_dataset_is_a_table_of_prompts() -> None:
    datasets = pytest.importorskip("datasets", reason="the extra data is not installed")
    rows = datasets.Dataset.from_list([{"prompt": "Why?", "id": 7}, {"prompt": "How?", "id": 8}])
    assert [(str(p), p.columns["id"]) for p in as_prompts(rows)] == [("Why?", 7), ("How?", 8)]
