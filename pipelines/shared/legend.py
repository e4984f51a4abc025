"""The names of scores, explained below each table on the terminal."""


def legend(item, example):
    """Explains the names of the scores in a list of lines.

    Args:
        item: Noun for one of the things that are put in order, such as "piece".
        example: Noun for all of them together, such as "puzzle".
    """
    return [
        f"P.W.: proportion of wrong {item}s.",
        f"P.A.W.: proportion of {example}s with any wrong {item}.",
        "Kendall tau: rank correlation with the true order, from -1 to 1, which is best.",
        f"By index every {item} has one place; by content equal {item}s may change theirs.",
        "On another kind of processor such numbers differ in the third digit.",
    ]
