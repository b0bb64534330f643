"""What a gateway costs beside another that lacks something, in alternated rounds."""

from statistics import median

from bench.load import Result


def tell_shares(results: list[Result], cheaper: str, dearer: str, what: str, most: float) -> int:
    """Print for each step what share of the throughput ``what`` takes; 1 where that is above ``most``, or calls failed.

    What one core serves is the inverse of what a call costs it. Each round counts against the one beside it: a shared
    machine is faster in one minute than in the next.
    """
    shares: list[float] = []
    for step in dict.fromkeys(result.step for result in results):
        cpu_us = {
            name: [result.cpu_us for result in results if (result.contender, result.step) == (name, step)]
            for name in (cheaper, dearer)
        }
        beside = zip(cpu_us[cheaper], cpu_us[dearer], strict=True)
        shares.append(1 - median([without / with_it for without, with_it in beside]))
        without, with_it = median(cpu_us[cheaper]), median(cpu_us[dearer])
        print(
            f"{step}: {without:.0f} µs of processor time a call without, {with_it:.0f} µs with {what}: "
            f"{shares[-1]:.1%} of the throughput (at most {most:.0%})"
        )
    errors = sum(result.errors for result in results)
    print(f"{errors} calls failed")
    return int(max(shares) > most or errors > 0)
