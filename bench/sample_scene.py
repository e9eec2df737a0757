"""The drawn pictures of the sample recording: two invented people at a table in a plain room.

Everything is in units of a 1280 x 720 frame and is drawn three times as large, then made smaller, because Pillow's
shapes have no smooth edges of their own. The type is the one that Pillow carries, so that no font of the machine
matters.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from PIL import Image, ImageDraw, ImageFont

WIDTH, HEIGHT = 1280, 720
SCALE = 3
BANNER = "Invented sample: not a real case"
# A crop of the scene (left, top, right, bottom) for each shot, in the shape of the frame.
SHOTS = {"wide": (0, 0, 1280, 720), "left": (0, 118, 784, 559), "right": (496, 118, 1280, 559)}

_INK, _NAVY, _WHITE, _YELLOW = "#212b32", "#14304a", "#ffffff", "#ffb81c"
_TABLE_Y = 468

Point = tuple[float, float]


@dataclass(frozen=True)
class Look:
    """What makes one person different from the other. `facing` is 1 to the right of the frame, -1 to the left."""

    role: str
    x: float
    facing: int
    skin: str
    shade: str
    hair: str
    top: str
    top_shade: str
    shirt: str
    long_hair: bool


@dataclass(frozen=True)
class Pose:
    """One moment of one person. Steps are coarse on purpose: frames that repeat cost no bytes."""

    mouth: int = 0
    "How far the mouth is open, 0 to 4."
    mood: float = 0.0
    "-1 troubled, 0 calm, 1 at ease."
    blink: bool = False
    nod: float = 0.0
    "Units that the head is lower than at rest."
    lean: float = 0.0
    gesture: float = 0.0
    "0 hands folded, 1 the near hand raised and open."
    speaking: bool = False


DIRECTOR = Look("Programme director", 350, 1, "#a86b45", "#8f5736", "#5b5f66", "#1d4e79", "#163d60", "#f4f1ea", True)
TRAINEE = Look("Trainee", 930, -1, "#e0ac84", "#c98f66", "#2b2320", "#2f8f83", "#25756b", "#ffffff", False)


class Pen:
    """Draws in frame units, moved by (dx, dy), on a picture that is SCALE times as large."""

    def __init__(self, picture: Image.Image, dx: float = 0.0, dy: float = 0.0) -> None:
        self._draw = ImageDraw.Draw(picture)
        self._dx, self._dy = dx, dy

    def _at(self, x: float, y: float) -> Point:
        return ((x + self._dx) * SCALE, (y + self._dy) * SCALE)

    def box(self, left: float, top: float, right: float, bottom: float, fill: str, radius: float = 0.0) -> None:
        corners = (self._at(left, top), self._at(right, bottom))
        self._draw.rounded_rectangle(corners, radius * SCALE, fill=fill)

    def oval(self, x: float, y: float, rx: float, ry: float, fill: str) -> None:
        self._draw.ellipse((self._at(x - rx, y - ry), self._at(x + rx, y + ry)), fill=fill)

    def shape(self, points: Sequence[Point], fill: str) -> None:
        self._draw.polygon([self._at(*point) for point in points], fill=fill)

    def blob(self, points: Sequence[Point], fill: str) -> None:
        """A closed, smooth outline through the points (a Catmull-Rom spline)."""
        outline: list[Point] = []
        count = len(points)
        for i in range(count):
            a, b, c, d = (points[(i + k) % count] for k in (-1, 0, 1, 2))
            outline += [_spline(a, b, c, d, step / 12) for step in range(12)]
        self.shape(outline, fill)

    def stroke(self, points: Sequence[Point], fill: str, width: float) -> None:
        """A line through the points with round joints and ends."""
        self._draw.line([self._at(*point) for point in points], fill=fill, width=round(width * SCALE))
        for x, y in points:
            self.oval(x, y, width / 2, width / 2, fill)

    def curve(self, start: Point, middle: Point, end: Point, fill: str, width: float) -> None:
        """A stroke that bends towards `middle` (a quadratic Bezier)."""
        steps = [i / 40 for i in range(41)]
        self.stroke([_bezier(start, middle, end, t) for t in steps], fill, width)


def _spline(a: Point, b: Point, c: Point, d: Point, t: float) -> Point:
    def along(p: float, q: float, r: float, s: float) -> float:
        return q + 0.5 * t * (r - p + t * (2 * p - 5 * q + 4 * r - s + t * (3 * (q - r) + s - p)))

    return along(a[0], b[0], c[0], d[0]), along(a[1], b[1], c[1], d[1])


def _bezier(a: Point, b: Point, c: Point, t: float) -> Point:
    u = 1 - t
    return u * u * a[0] + 2 * u * t * b[0] + t * t * c[0], u * u * a[1] + 2 * u * t * b[1] + t * t * c[1]


def _mix(a: float, b: float, t: float) -> float:
    return a + (b - a) * t


@cache
def _room() -> Image.Image:
    """What never moves: wall, picture, window frame, plant. The window's glass is left to `_outside`."""
    picture = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), "#dfe8ec")
    pen = Pen(picture)
    pen.box(0, 400, 1280, 720, "#c8d6dc")
    pen.box(0, 392, 1280, 402, "#f3f7f8")
    pen.box(86, 128, 206, 288, "#b98a5a", 4)
    pen.box(96, 138, 196, 278, "#f7f3ea")
    pen.oval(146, 190, 28, 28, "#f2a65a")
    pen.blob([(96, 250), (130, 222), (165, 240), (196, 214), (196, 277), (96, 277)], "#6a9fb5")
    pen.box(1136, 330, 1204, 402, "#c9744d", 8)
    pen.box(1128, 324, 1212, 344, "#b5633f", 6)
    for tip, bend, colour in (
        ((1100, 220), (1120, 250), "#3f7d4f"),
        ((1240, 214), (1220, 250), "#3f7d4f"),
        ((1138, 176), (1150, 240), "#4f9461"),
        ((1206, 180), (1190, 240), "#4f9461"),
        ((1170, 160), (1172, 240), "#5fa872"),
    ):
        side = (bend[0] + 26, bend[1] + 10)
        pen.blob([(1168, 330), bend, tip, side, (1176, 330)], colour)
    return picture


def _outside(picture: Image.Image, seconds: float) -> None:
    """The window, with clouds that drift."""
    glass = Image.new("RGB", (220 * SCALE, 232 * SCALE), "#bfe0f0")
    pen = Pen(glass)
    for offset, height in ((0.0, 52), (150.0, 96)):
        x = (offset + seconds * 4) % 340 - 60
        for dx, dy, r in ((-30, 6, 20), (0, -6, 28), (30, 6, 18)):
            pen.oval(x + dx, height + dy, r, r * 0.8, "#f8fcfd")
    pen.blob([(-20, 190), (50, 160), (120, 182), (190, 158), (250, 190), (250, 250), (-20, 250)], "#8fc08f")
    pen.blob([(-20, 214), (70, 196), (150, 212), (240, 196), (250, 260), (-20, 260)], "#6fa978")
    picture.paste(glass, (530 * SCALE, 108 * SCALE))
    frame = Pen(picture)
    for left, top, right, bottom in (
        (518, 96, 762, 110),
        (518, 330, 762, 344),
        (518, 96, 532, 344),
        (748, 96, 762, 344),
        (635, 96, 645, 344),
    ):
        frame.box(left, top, right, bottom, "#ffffff")
    frame.box(506, 340, 774, 354, "#f3f7f8", 4)


def _table(picture: Image.Image, seconds: float) -> None:
    pen = Pen(picture)
    pen.shape([(40, _TABLE_Y), (1240, _TABLE_Y), (1280, 596), (0, 596)], "#d9ad7c")
    pen.box(0, 596, 1280, 720, "#a97a4c")
    pen.box(0, 592, 1280, 602, "#c4945f")
    for x, colour in ((560, "#f4f1ea"), (722, "#3b6ea5")):
        for side in (-6, 6):
            sway = 5 * math.sin(seconds * 1.6 + side + x)
            pen.curve((x + side, 466), (x + side + sway, 450), (x + side - sway / 2, 436), "#eef3f5", 3)
        pen.oval(x + 20, 492, 13, 13, colour)
        pen.oval(x + 20, 492, 7, 7, "#d9ad7c")
        pen.box(x - 20, 472, x + 20, 514, colour, 8)
        pen.oval(x, 473, 19, 5, "#5b3a24")


def _body(picture: Image.Image, look: Look, pose: Pose) -> None:
    f = look.facing
    pen = Pen(picture, look.x + pose.lean)
    pen.box(-92, 330, 92, 500, "#7b8a92", 26)  # the chair's back
    pen.blob(
        [(-46, 346), (-104, 368), (-124, 430), (-128, 520), (128, 520), (124, 430), (104, 368), (46, 346), (0, 340)],
        look.top,
    )
    pen.shape([(-34, 342), (34, 342), (8 * f, 430)], look.shirt)
    pen.box(-24, 308, 24, 356, look.shade, 18)
    pen.blob([(-24, 340), (24, 340), (16, 362), (0, 370), (-16, 362)], look.shade)
    pen.shape([(-44, 344), (-26, 338), (6 * f, 432), (-10, 452)], look.top_shade)
    pen.shape([(44, 344), (26, 338), (10 * f, 432), (14, 452)], look.top_shade)
    # A card on a ribbon, blank: a role is told by the plates, and there is no name to tell.
    pen.stroke([(-22 * f, 350), (-44 * f, 424)], _YELLOW, 4)
    pen.box(-60 * f - 14, 420, -60 * f + 22, 448, _WHITE, 4)


def _arms(picture: Image.Image, look: Look, pose: Pose) -> None:
    """The near arm is the one on the side that the person faces; it is the one that moves."""
    f, g = look.facing, pose.gesture
    pen = Pen(picture, look.x + pose.lean)
    pen.curve((-108 * f, 400), (-126 * f, 490), (-40 * f, 488), look.top_shade, 44)
    pen.oval(-22 * f, 487, 26, 19, look.shade)
    hand = (_mix(18, 150, g) * f, _mix(488, 424, g))
    elbow = (_mix(128, 134, g) * f, _mix(494, 510, g))
    pen.curve((108 * f, 400), elbow, (_mix(40, 142, g) * f, _mix(488, 446, g)), look.top, 44)
    if g > 0.5:
        for dx, dy in ((-14, -22), (0, -28), (13, -24)):
            pen.stroke([hand, (hand[0] + dx * f, hand[1] + dy)], look.skin, 11)
        pen.stroke([hand, (hand[0] - 24 * f, hand[1] - 4)], look.skin, 11)
    pen.oval(*hand, 24, 20, look.skin)


def _head(picture: Image.Image, look: Look, pose: Pose) -> None:
    f = look.facing
    pen = Pen(picture, look.x + pose.lean * 1.6, pose.nod)
    if look.long_hair:
        back = [
            (-76, 250),
            (-62, 190),
            (0, 162),
            (62, 190),
            (76, 250),
            (82, 306),
            (64, 330),
            (0, 326),
            (-64, 330),
            (-82, 306),
        ]
        pen.blob(back, look.hair)
    else:
        pen.blob([(-66, 252), (-58, 190), (0, 168), (58, 190), (66, 252), (0, 270)], look.hair)
    for side in (-1, 1):
        pen.oval(62 * side - 3 * f, 268, 13, 18, look.shade)
    pen.blob(
        [(-60, 240), (-44, 196), (0, 186), (44, 196), (60, 240), (54, 300), (24, 336), (-24, 336), (-54, 300)],
        look.skin,
    )
    if look.long_hair:
        fringe = [
            (-70, 280),
            (-68, 206),
            (-10, 168),
            (54, 184),
            (70, 280),
            (58, 244),
            (34 * f, 214),
            (-22 * f, 224),
            (-58, 250),
        ]
        pen.blob(fringe, look.hair)
    else:
        pen.blob(
            [(-62, 240), (-58, 192), (-10, 164), (46, 172), (64, 240), (48, 214), (10, 206), (-44, 216)], look.hair
        )
    _face(pen, look, pose)


def _face(pen: Pen, look: Look, pose: Pose) -> None:
    f, mood = look.facing, pose.mood
    turn = 9 * f
    for side in (-1, 1):
        x = turn + 25 * side
        if pose.blink:
            pen.curve((x - 9, 263), (x, 269), (x + 9, 263), _INK, 4)
        else:
            pen.oval(x + 2 * f, 262, 7, 9, "#2a1d16")
            pen.oval(x + 2 * f + 2, 259, 2.2, 2.2, _WHITE)
        lift = 4 if pose.speaking else 0
        inner, middle, outer = 238 + 7 * min(0.0, mood) - lift, 232 - lift, 240 - 3 * min(0.0, mood) - lift
        pen.curve((x - 14 * side, inner), (x, middle), (x + 15 * side, outer), look.hair, 5)
        if look.long_hair:  # glasses
            for a, b in (
                ((-17, -14), (17, -14)),
                ((17, -14), (17, 14)),
                ((17, 14), (-17, 14)),
                ((-17, 14), (-17, -14)),
            ):
                pen.stroke([(x + a[0], 263 + a[1]), (x + b[0], 263 + b[1])], _NAVY, 3)
    if look.long_hair:
        pen.stroke([(turn - 8, 258), (turn + 8, 258)], _NAVY, 3)
    pen.curve((turn + 2 * f, 268), (turn + 13 * f, 290), (turn, 291), look.shade, 4)
    _mouth(pen, turn * 0.9, pose)


def _mouth(pen: Pen, x: float, pose: Pose) -> None:
    y = 312.0
    if pose.mouth == 0:
        bend = 7 * pose.mood
        pen.curve((x - 17, y - bend / 2), (x, y + bend), (x + 17, y - bend / 2), "#7a3530", 5)
        return
    rx, ry = 18 - pose.mouth, 2.0 + pose.mouth * 1.9
    pen.oval(x, y + 1, rx + 2, ry + 2, "#8f4640")
    pen.oval(x, y + 1, rx, ry, "#4a1a1c")
    if pose.mouth > 1:
        pen.box(x - rx * 0.6, y + 1 - ry, x + rx * 0.6, y + 4 - ry * 0.6, "#f6efe6", 2)
    if pose.mouth > 2:
        pen.oval(x, y + ry * 0.62, rx * 0.5, ry * 0.36, "#c25f5b")


@cache
def _type(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font


def _label(frame: Image.Image, text: str, x: float, y: float, anchor: str, lit: bool, pale: bool = False) -> None:
    """A plate with words. `anchor` says which point (x, y) is: "left", "right" or "middle" of its top edge."""
    font, draw = _type(34), ImageDraw.Draw(frame)
    wide = draw.textlength(text, font=font) + (74 if pale else 40)
    left = {"left": x, "right": x - wide, "middle": x - wide / 2}[anchor]
    fill, ink = (_WHITE, _INK) if pale else (_NAVY, _WHITE)
    edge = _YELLOW if lit else "#9aa9b1" if pale else None
    draw.rounded_rectangle((left, y, left + wide, y + 54), 10, fill=fill, outline=edge, width=5 if lit else 2)
    start = left + 20
    if pale:  # a lamp says who speaks, for those who do not see the colour of the edge
        box = (start, y + 17, start + 20, y + 37)
        draw.ellipse(box, fill=_YELLOW if lit else None, outline=_INK, width=3)
        start += 34
    draw.text((start, y + 27), text, font=font, fill=ink, anchor="lm", stroke_width=0.5)


def scene(shot: str, poses: dict[str, Pose], seconds: float) -> Image.Image:
    """One frame (RGB, 1280 x 720) of the talk. `poses` is keyed by role, `seconds` moves clouds and steam."""
    picture = _room().copy()
    _outside(picture, seconds)
    for look in (DIRECTOR, TRAINEE):
        _body(picture, look, poses[look.role])
        _head(picture, look, poses[look.role])
    _table(picture, seconds)
    for look in (DIRECTOR, TRAINEE):
        _arms(picture, look, poses[look.role])
    left, top, right, bottom = (edge * SCALE for edge in SHOTS[shot])
    frame = picture.resize((WIDTH, HEIGHT), Image.Resampling.BILINEAR, box=(left, top, right, bottom))
    if shot == "wide":
        for look in (DIRECTOR, TRAINEE):
            _label(frame, look.role, look.x, 520, "middle", poses[look.role].speaking, pale=True)
    else:
        look = DIRECTOR if shot == "left" else TRAINEE
        _label(frame, look.role, WIDTH - 24, 22, "right", poses[look.role].speaking, pale=True)
    _label(frame, BANNER, 24, 22, "left", lit=False)
    return frame


def card(heading: Sequence[str], lines: Sequence[str], grown: float) -> Image.Image:
    """A card with large words (`heading`), smaller ones below, and a bar that has `grown` from 0 to 1."""
    frame = Image.new("RGB", (WIDTH, HEIGHT), _NAVY)
    draw = ImageDraw.Draw(frame)
    y = 220
    for text in heading:
        draw.text((110, y), text, font=_type(64), fill=_WHITE, anchor="ls", stroke_width=1)
        y += 80
    draw.rectangle((110, y - 40, 110 + max(1, round(420 * grown)), y - 32), fill=_YELLOW)
    y += 40
    for text in lines:
        draw.text((110, y), text, font=_type(38), fill="#dbe6ee", anchor="ls")
        y += 56
    _label(frame, BANNER, 24, 22, "left", lit=True)
    return frame
