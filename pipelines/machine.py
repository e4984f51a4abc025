"""The processor that a result was made on."""

import platform

import tensorflow as tf


def processor():
    """The processor of this machine and its accelerators, for a record.

    Returns:
        Dict: `cpu`, the model's name, and `accelerators`, a list of the names of the GPUs
        and TPUs that TensorFlow sees.
    """
    return {"cpu": cpu_model(), "accelerators": _accelerators()}


def cpu_model():
    """The name of the processor's model."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _accelerators():
    names = []
    for device in tf.config.list_physical_devices():
        if device.device_type != "CPU":
            details = tf.config.experimental.get_device_details(device)
            names.append(details.get("device_name", device.name))
    return names
