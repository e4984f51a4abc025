"""The learning rate over the steps, and the steps at which a training is observed."""

import keras


def learning_rate(config):
    """The learning rate: a linear warm-up, then a cosine or a constant.

    Args:
        config: `TrainingConfig`.

    Returns:
        A Keras `LearningRateSchedule`.
    """
    warmup_steps = min(config.warmup_steps, config.steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(config.steps - warmup_steps, 1),
        # Alpha is the share of the highest rate that is left at the end.
        alpha=1.0 if config.schedule == "constant" else 0.0,
        warmup_target=config.learning_rate,
        warmup_steps=warmup_steps,
    )


def milestones(steps):
    """The set of the steps 1, 3, 10, 30, 100, ... below `steps`, and `steps` itself."""
    marks, power = {steps}, 1
    while power < steps:
        marks |= {mark for mark in (power, 3 * power) if mark < steps}
        power *= 10
    return marks
