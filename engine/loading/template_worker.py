"""A process that renders chat templates, started by chat_templates.py and run as a file: one JSON
object a line in, one out, until its input ends.

A template is a program from a model's folder: its memory and its processor time are limited here,
by the kernel, because a single filter can ask for gigabytes or never return. What breaks a limit
ends this process and nothing else.
"""

import json
import math
import resource
import signal
import sys


def main() -> None:
    limits = json.loads(sys.argv[1])
    # the one who pressed Ctrl-C is told by the parent; this ends with its input
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from transformers.utils.chat_template_utils import render_jinja_template

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    memory = _address_space_bytes() + int(limits["memory_bytes"])
    _, most = resource.getrlimit(resource.RLIMIT_AS)  # who started us may have set less
    memory = memory if most == resource.RLIM_INFINITY else min(memory, most)
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    _, most_s = resource.getrlimit(resource.RLIMIT_CPU)
    for line in sys.stdin.buffer:
        used = resource.getrusage(resource.RUSAGE_SELF)
        allowed = math.ceil(used.ru_utime + used.ru_stime + limits["processor_s"])
        if most_s == resource.RLIM_INFINITY or allowed < most_s:
            resource.setrlimit(resource.RLIMIT_CPU, (allowed, most_s))
        try:
            asked = json.loads(line)
            [text], _ = render_jinja_template(
                [asked["messages"]],
                tools=asked["tools"],
                chat_template=asked["template"],
                add_generation_prompt=not asked["continues"],
                continue_final_message=asked["continues"],
                **asked["variables"],
            )
            if len(text) > limits["characters"]:
                raise ValueError(f"it wrote {len(text)} characters")
            answer = json.dumps({"text": text})
        except Exception as error:
            answer = json.dumps({"error": str(error)[:2000] or type(error).__name__})
        # What a template leaves behind (its constants are kept with it) is not to starve the next.
        asked = text = line = None
        is_worn = _address_space_bytes() > memory - limits["memory_bytes"] // 2
        sys.stdout.write(f"{'worn' if is_worn else 'well'}{answer}\n")
        sys.stdout.flush()


def _address_space_bytes() -> int:
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


if __name__ == "__main__":
    main()
