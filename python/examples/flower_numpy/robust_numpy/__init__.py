"""Robust federated training of a softmax regression."""
