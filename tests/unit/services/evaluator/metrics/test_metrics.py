"""The metrics against values worked out by hand, and against what the field's libraries say by themselves."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer
from sacrebleu.metrics.bleu import BLEU
from tunebus.services.evaluator.metrics import CORPUS_METRICS, ROW_METRICS
from tunebus.services.evaluator.metrics.bleu import bleu, corpus_bleu
from tunebus.services.evaluator.metrics.exact_match import exact_match, majority_exact_match
from tunebus.services.evaluator.metrics.rouge import rouge_1, rouge_2, rouge_l

texts = st.text(alphabet="ab c.", max_size=30)


class TestExactMatch:
    @pytest.mark.parametrize(
        ("answer", "reference", "score"), [(" yes\n", "yes", 1), ("Yes", "yes", 0), ("a  b", "a b", 0), ("", " ", 1)]
    )
    def test_only_white_space_around_does_not_count(self, answer: str, reference: str, score: float) -> None:
        assert exact_match(answer, reference) == score

    def test_the_majority_answer(self) -> None:
        assert majority_exact_match(["a", "b ", "b", "c"], ["b", "a", "b", "x"]) == 0.5
        assert majority_exact_match(["b", "a"], ["a"]) == 1.0
        assert majority_exact_match([], ["a"]) is None
        assert majority_exact_match(["a"], []) is None


class TestRouge:
    def test_by_hand(self) -> None:
        """The example of Lin 2004, section 3: "police killed the gunman"."""
        reference = "police killed the gunman"
        assert rouge_l("police kill the gunman", reference) == pytest.approx(0.75)
        assert rouge_l("the gunman kill police", reference) == pytest.approx(0.5)
        assert rouge_l("the gunman police killed", reference) == pytest.approx(0.5)
        assert rouge_2("police kill the gunman", reference) == pytest.approx(1 / 3)
        assert rouge_2("the gunman kill police", reference) == pytest.approx(1 / 3)
        assert rouge_1("the gunman kill police", reference) == pytest.approx(0.75)

    def test_precision_and_recall_both_count(self) -> None:
        # 2 of 4 words are right and 2 of 3 are found: 2 * 2 / (4 + 3)
        assert rouge_1("a b c d", "a b e") == pytest.approx(4 / 7)
        assert rouge_1("a a a", "a") == pytest.approx(0.5)

    def test_case_and_punctuation_do_not_count(self) -> None:
        assert rouge_l("The answer: 42!", "the Answer 42") == 1.0

    def test_other_scripts_count(self) -> None:
        assert rouge_1("zażółć gęślą", "zażółć jaźń") == pytest.approx(0.5)

    @pytest.mark.parametrize("metric", [rouge_1, rouge_2, rouge_l])
    def test_an_empty_text_scores_nothing(self, metric: Callable[[str, str], float]) -> None:
        assert (metric("", ""), metric("a", ""), metric("", "a")) == (0.0, 0.0, 0.0)

    def test_a_single_word_has_no_pairs(self) -> None:
        assert (rouge_1("a", "a"), rouge_2("a", "a"), rouge_l("a", "a")) == (1.0, 0.0, 1.0)

    @given(st.text(alphabet="aB1 .,-", max_size=40), st.text(alphabet="aB1 .,-", max_size=40))
    def test_english_scores_are_those_of_rouge_score_as_it_comes(self, answer: str, reference: str) -> None:
        stock = RougeScorer(["rouge1", "rouge2", "rougeL"]).score(reference, answer)
        assert rouge_1(answer, reference) == stock["rouge1"].fmeasure
        assert rouge_2(answer, reference) == stock["rouge2"].fmeasure
        assert rouge_l(answer, reference) == stock["rougeL"].fmeasure


class TestBleu:
    def test_precisions_of_four_orders_and_the_brevity_penalty(self) -> None:
        # 6 of 6 words, 4 of 5 pairs, 2 of 4 triples, 1 of 3 quadruples; 6 words against 7.
        answer, reference = "a b c d f g", "a b c d e f g"
        expected = math.exp(1 - 7 / 6) * (6 / 6 * 4 / 5 * 2 / 4 * 1 / 3) ** 0.25
        assert corpus_bleu([answer], [reference]) == pytest.approx(expected)

    def test_counts_are_summed_over_the_corpus(self) -> None:
        # 5 of 7 words, 3 of 5 pairs, 2 of 3 triples, 1 of 1 quadruple.
        pairs = [("a b c d", "a b c d"), ("x y z", "x q r")]
        expected = (5 / 7 * 3 / 5 * 2 / 3 * 1 / 1) ** 0.25
        assert corpus_bleu(*zip(*pairs, strict=True)) == pytest.approx(expected)

    @given(st.lists(st.tuples(texts, texts), min_size=1, max_size=5))
    def test_figures_are_those_of_sacrebleu_with_effective_order(self, pairs: list[tuple[str, str]]) -> None:
        answers, references = map(list, zip(*pairs, strict=True))
        stock = BLEU(effective_order=True)
        assert corpus_bleu(answers, references) * 100 == pytest.approx(
            stock.corpus_score(answers, [references]).score, abs=1e-6
        )
        first = stock.sentence_score(answers[0], [references[0]]).score
        assert bleu(answers[0], references[0]) * 100 == pytest.approx(first, abs=1e-6)

    def test_extremes(self) -> None:
        assert corpus_bleu(["the cat sat on the mat."], ["the cat sat on the mat."]) == pytest.approx(1.0)
        assert corpus_bleu(["yes"], ["yes"]) == pytest.approx(1.0)
        assert corpus_bleu(["a b"], ["c d"]) == corpus_bleu([""], ["a"]) == corpus_bleu([], []) == 0.0

    def test_as_many_answers_as_references(self) -> None:
        with pytest.raises(ValueError, match="1 answers for 0 references"):
            corpus_bleu(["a"], [])


@given(texts, texts)
def test_every_metric_lies_between_nothing_and_all(answer: str, reference: str) -> None:
    for score in ROW_METRICS.values():
        assert 0.0 <= score(answer, reference) <= 1.0
    for corpus_score in CORPUS_METRICS.values():
        assert 0.0 <= corpus_score([answer], [reference]) <= 1.0


@pytest.mark.parametrize("name", list(ROW_METRICS))
def test_a_right_answer_scores_all(name: str) -> None:
    assert ROW_METRICS[name]("the cat sat on the mat", "the cat sat on the mat") == pytest.approx(1.0)
