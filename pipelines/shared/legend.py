"""The names of scores, explained below each table on the terminal."""


def legend(item, example):
    """The names of the scores explained, as lines of text.

    Args:
        item, example: Nouns for what is placed and for all of it, such as "piece" and
            "puzzle".
    """
    return [
        f"P.W.: proportion of wrong {item}s.",
        f"P.A.W.: proportion of {example}s with any wrong {item}.",
        "Kendall tau: rank correlation with the true order, from -1 to 1, which is best.",
        f"By index every {item} has one place; by content equal {item}s may change theirs.",
        "On another kind of processor such numbers differ in the third digit.",
    ]
