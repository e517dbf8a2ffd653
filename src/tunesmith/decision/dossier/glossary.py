"""The words a dossier uses, for readers who do not fine-tune models for a living."""

from __future__ import annotations

__all__ = ["GLOSSARY"]

GLOSSARY = (
    ("Example", "A prompt together with the completion that is right for it."),
    ("Label, value, text", "The three kinds of field an answer holds: one of a fixed set; a number, date or "
     "identifier found in the prompt; free writing."),
    ("Contender", "One way to do the task. All contenders answer the same examples, so their figures can be compared."),
    ("Constant, classifier", "Two contenders without a language model. They show how far one gets without one."),
    ("Prompt, few-shot, retrieval", "The base model as it is: with instructions alone, with a few fixed examples, or "
     "with the examples and documents most like the request."),
    ("Fine-tuning, LoRA, adapter", "Training a small add-on (the adapter, made by the method LoRA) that changes how "
     "the base model answers. The base model itself stays as it was."),
    ("Train, validation, test", "Three sides that share no example: one to learn from, one to choose settings on, and "
     "one that is frozen and only looked at to judge."),
    ("Bar", "How good is good enough, written down before the figures were in."),
    ("95 % interval", "The range that would hold the true figure in 95 of 100 repetitions with other examples of the "
     "same kind. Few examples make it wide."),
    ("Met, missed, not shown", "The whole interval is at or above the bar; the whole interval is below it; the bar "
     "lies inside the interval, so these examples cannot tell."),
    ("Paired difference", "Two contenders compared example by example, which shows smaller differences than comparing "
     "two averages."),
    ("p, Holm", "How often chance alone would make a difference this large. Holm's correction makes p stricter because "
     "several comparisons are made at once. Up to 0.05 counts as shown."),
    ("Blind rating, win rate", "People compare two answers and do not know who wrote which. The win rate is how often "
     "one is preferred, a tie counting one half; 0.5 is no preference."),
    ("Judge, calibrated", "A model that grades answers. Calibrated means that its errors were measured on answers that "
     "people graded, and that its rates are corrected for them. Without that it decides nothing."),
    ("Learning curve", "What is reached with more and more train examples, and what that says of still more."),
    ("Parity", "That a model handed to another program says the same there as the one that was measured."),
    ("Leak", "Test examples, or near copies of them, among the train examples. Figures then look too good."),
    ("Group", "Examples that belong together, such as those of one customer. A group stays on one side."),
    ("Set aside", "Rows left out because they came too near a test row, or, where time was asked for, are as "
     "late as the test."),
    ("Loss", "What training makes smaller: how surprised the model is, token by token, by the right completion. When "
     "it rises on validation, the model has begun to learn by heart."),
    ("Forgetting", "What the base model could do and the tuned one no longer can, seen on general items and texts that "
     "have nothing to do with the task."),
    ("Bits per byte", "How surprised a model is by a text, spread over its letters. Lower is better; one bit more "
     "halves the chance that it gives to each letter."),
    ("Token", "A piece of a word: what models read, write and are priced by."),
    ("Unreadable, failed", "An answer that does not have the asked form counts as wrong; one lost to an error or "
     "timeout has no score and is counted apart."),
    ("Break-even", "When what was paid once has come back through what each request saves."),
)  # fmt: skip
"""Term and meaning, in the order a reader meets them."""
