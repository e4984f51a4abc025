"""The machine that a result is made on, and the memory that it takes."""

import os
import platform
import resource
import sys


def description():
    """A dict of the processor's model, the usable cores, the memory and the load."""
    return {
        "cpu": cpu_model(),
        "cores": _cores(),
        "memory_gib": _memory_gib(),
        "system": platform.system(),
        "load_at_start": load(),
    }


def load():
    """The mean number of processes that wanted to run in the last minute, per core."""
    try:
        return round(os.getloadavg()[0] / _cores(), 2)
    # Some systems do not know their load.
    except (AttributeError, OSError):
        return 0.0


def warn_of_load():
    """Warns on stderr if other programs keep the machine busy."""
    busy = load()
    if busy > 0.25:
        print(
            f"The machine is busy (load {busy:.2f} per core): times will be too long.",
            file=sys.stderr,
        )


def reset_peak_memory():
    """Resets the peak of memory where the system can; returns the bytes in use now."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass
    return peak_memory()


def peak_memory():
    """The largest number of bytes that this process had in use since the reset."""
    try:
        with open("/proc/self/status", encoding="ascii") as file:
            for line in file:
                if line.startswith("VmHWM"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _cores():
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory_gib():
    try:
        pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError):
        return None
    return round(pages * size / 2**30, 1)


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
    import tensorflow as tf

    names = []
    for device in tf.config.list_physical_devices():
        if device.device_type != "CPU":
            details = tf.config.experimental.get_device_details(device)
            names.append(details.get("device_name", device.name))
    return names
