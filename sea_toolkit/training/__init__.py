"""Training of probes: labelled texts or pairs, features of the policy, a regularised logistic regression."""
