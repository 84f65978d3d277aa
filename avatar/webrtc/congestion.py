"""Congestion control of what is sent to one viewer: the bit rate, retransmission within a budget, and unasked copies.

aiortc follows the receiver's own estimate (REMB) alone. Here loss lowers the bit rate too, as in Google's congestion
control (draft-ietf-rmcat-gcc-02), and retransmission (NACK, RFC 4585) never takes the next picture's place.

Where much is lost, a NACK or its answer is late or lost as well, and all pictures after the lost one wait for it: so
each picture's packets are then sent once or twice more, unasked, if there is room.

`aiortc_patches.sender` applies all this to a sender.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass

from aiortc.rtp import RtcpReceiverInfo

from avatar.core.errors import UsageError

LOWEST_BPS, HIGHEST_BPS = 50_000, 50_000_000
BOTTLENECK_BPS = 300_000  # a receiver that estimates less is taken to stand behind a bottleneck
HISTORY_PACKETS = 1024  # kept for retransmission; a power of two, as sequence numbers wrap

RISE = 1.15  # a second, once nothing is lost: the receiver's estimate still holds it back where the network is full
LOSS_DECAY = 0.6  # a second: how fast loss is forgotten
LOSS_REPORTS = 2  # over how many of the receiver's reports loss is measured
MOST_COPIES = 2
STILL_LOST = 0.03  # the share of packets that may be lost with all their copies
MANY_LOST = 0.08  # from here on, the picture makes room for the copies

RETRANSMIT_AFTER_S = 0.1  # before a packet is sent once more: the first one may still be on the way
# The most that retransmission may take, as a share of the picture's bit rate: where packets are lost though the
# receiver finds room for more, and where it finds none, so that a retransmission delays the next picture
RETRANSMIT_SHARE, RETRANSMIT_SHARE_FULL = 0.5, 0.15
# How much of that may be saved up for losses that come at once: of so many seconds, but always of two packets
SAVED_S, LEAST_SAVED_BITS = 0.5, 20_000


@dataclass(frozen=True, slots=True)
class BitRates:
    """What one viewer's video may take, in bits per second; that viewer's REMB moves it between floor and ceiling."""

    floor_bps: int = 150_000
    start_bps: int = 1_000_000
    ceiling_bps: int = 4_000_000

    def __post_init__(self) -> None:
        if not LOWEST_BPS <= self.floor_bps <= self.start_bps <= self.ceiling_bps <= HIGHEST_BPS:
            raise UsageError(
                f"Bit rates must rise from floor ({self.floor_bps}) over start ({self.start_bps}) to ceiling "
                f"({self.ceiling_bps} b/s), all between {LOWEST_BPS} and {HIGHEST_BPS}."
            )

    @classmethod
    def between(cls, floor_kbps: int, ceiling_kbps: int) -> BitRates:
        """From the two flags in kb/s; starts at 1 Mb/s where they allow it."""
        floor_bps, ceiling_bps = floor_kbps * 1000, ceiling_kbps * 1000
        return cls(floor_bps, max(floor_bps, min(cls().start_bps, ceiling_bps)), ceiling_bps)

    def clamp(self, bit_rate_bps: int) -> int:
        return max(self.floor_bps, min(bit_rate_bps, self.ceiling_bps))


class RateControl:
    """The bit rate: what the receiver estimates (REMB), less where packets are lost, between floor and ceiling.

    Copies of packets count too: where they are sent, the picture gets its share only.
    """

    def __init__(self, rates: BitRates, clock: Callable[[], float] = time.monotonic) -> None:
        self.estimate_bps = rates.start_bps  # the receiver's
        self._rates, self._loss_bps = rates, rates.ceiling_bps
        self._clock, self._loss, self._then_s = clock, 0.0, clock()

    @property
    def target_bps(self) -> int:
        times = 1 + self._copies_wanted if self._loss > MANY_LOST else 1
        return self._rates.clamp(self._all_bps // times)

    @property
    def copies(self) -> int:
        """How often each packet is to be sent beyond the first time: as often as is of use, and there is room for."""
        return max(0, min(self._copies_wanted, self.estimate_bps // self.target_bps - 1))

    def report_loss(self, share: float) -> None:
        """The loss-based controller of Google's congestion control (draft-ietf-rmcat-gcc-02, 6); RISE is ours."""
        if share > 0.1:
            self._loss_bps = self._rates.clamp(round(self._all_bps * (1 - 0.5 * share)))
        elif share < 0.02:
            self._loss_bps = self._rates.clamp(round(self._loss_bps * RISE))
        now_s = self._clock()
        self._loss = max(share, self._loss * LOSS_DECAY ** (now_s - self._then_s))
        self._then_s = now_s

    @property
    def _all_bps(self) -> int:
        """Of the picture and its copies."""
        return min(self.estimate_bps, self._loss_bps)

    @property
    def _copies_wanted(self) -> int:
        return next((n for n in range(MOST_COPIES) if self._loss ** (n + 1) <= STILL_LOST), MOST_COPIES)


class LossMeter:
    """What share of the packets is lost, by the receiver's reports, over the time of LOSS_REPORTS of them.

    One report alone counts reordered packets as lost, and the next one does not make up for it.
    """

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque(maxlen=LOSS_REPORTS + 1)

    def share(self, report: RtcpReceiverInfo) -> float:
        self._seen.append((report.highest_sequence, report.packets_lost))
        if len(self._seen) == 1:
            return report.fraction_lost / 256
        (first, lost_before), (last, lost) = self._seen[0], self._seen[-1]
        return max(0.0, (lost - lost_before) / max(1, (last - first) % 0x10000))


class RetransmissionBudget:
    """Which NACKs are answered: a packet once in RETRANSMIT_AFTER_S, and all together within a share of the bit rate.

    What is not sent again, the receiver gives up, and asks for a key frame.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._then_s, self._left_bits = clock(), float("inf")
        self._sent_s: OrderedDict[int, float] = OrderedDict()  # by sequence number

    def take(self, sequence_number: int, bits: int, rate: RateControl) -> bool:
        """Whether this packet may be sent again now; it then counts."""
        now_s, target_bps = self._clock(), rate.target_bps
        room_bps = max(
            RETRANSMIT_SHARE_FULL * target_bps, min(RETRANSMIT_SHARE * target_bps, rate.estimate_bps - target_bps)
        )
        saved_bits = self._left_bits + (now_s - self._then_s) * room_bps
        most_bits = max(LEAST_SAVED_BITS, SAVED_S * RETRANSMIT_SHARE * target_bps)
        self._left_bits, self._then_s = min(saved_bits, most_bits), now_s
        since_s = now_s - self._sent_s.get(sequence_number, -RETRANSMIT_AFTER_S)
        if since_s < RETRANSMIT_AFTER_S or self._left_bits < bits:
            return False
        self._left_bits -= bits
        self.note_sent(sequence_number)
        return True

    def note_sent(self, sequence_number: int) -> None:
        """The packet was sent again just now, be it as an unasked copy, which costs nothing here."""
        self._sent_s[sequence_number] = self._clock()
        self._sent_s.move_to_end(sequence_number)
        while len(self._sent_s) > HISTORY_PACKETS:
            self._sent_s.popitem(last=False)
