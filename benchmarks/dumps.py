"""Made-up dumps with the shape of real ones: their fields, their sizes, their window, several frames.

Nothing of a real post is in them. Words are drawn by Zipf's law from invented ones; a submission has some
95 fields, a comment some 45, in alphabetical order, as dumps since 2020 have them.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

COMMON, RARE = "askanything", "lonely"
"""Subreddits of 20 % and of 0.5 % of the lines; the rest is spread over 2,000 others."""
_RARE_SHARE, _COMMON_SHARE = 0.005, 0.2
_OTHERS = 2_000
_TYPOGRAPHIC_SHARE, _ESCAPED_SHARE = 0.2, 0.07
"""Texts that are not plain ASCII, and texts with entities, as in FIG-Loneliness and real lines."""
_MARKS = (".\n\n", ",", ".", "?", "\u2019s 😔")
_AUTHORS = 300_000
_BEGIN = 1_596_240_000
"""2020-08-01 00:00:00 UTC."""
_FRAME_BYTES = 384 << 20
_WINDOW_LOG = 31
_NO_FLAIR: dict[str, Any] = {
    "author_flair_background_color": None,
    "author_flair_css_class": None,
    "author_flair_richtext": [],
    "author_flair_template_id": None,
    "author_flair_text": None,
    "author_flair_text_color": None,
    "author_flair_type": "text",
}


class Lines:
    """Lines one after the other, the same for the same seed."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(seed)
        self._words = [self._word() for _ in range(30_000)]
        self._drawn: list[str] = []
        self._others = [f"{self._word()}_{n}".title() for n in range(_OTHERS)]
        self._number = 0

    def __iter__(self) -> Iterator[bytes]:
        while True:
            self._number += 1
            make = self._submission if self._chance.random() < 0.5 else self._comment
            yield json.dumps(make(), ensure_ascii=False, separators=(",", ":")).encode()

    def _word(self) -> str:
        syllables = self._chance.choices(
            ["ka", "lo", "mi", "ner", "sta", "tu", "ri", "en", "so", "vel"],
            k=self._chance.randint(1, 4),
        )
        return "".join(syllables)

    def _text(self, mean: int) -> str:
        count = 1 + int(self._chance.expovariate(1 / mean))
        if len(self._drawn) < count:
            ranks = [int(30_000 ** self._chance.random()) - 1 for _ in range(50_000)]
            self._drawn += [self._words[rank] for rank in ranks]
        words, self._drawn = self._drawn[:count], self._drawn[count:]
        marks = _MARKS[: 5 if self._chance.random() < _TYPOGRAPHIC_SHARE else 4]
        for place in range(11, count, 17):
            words[place] += self._chance.choice(marks)
        if self._chance.random() < _ESCAPED_SHARE:
            words[-1] += self._chance.choice([" &amp;", " &lt;3", "&gt;", " &amp;#x200B;"])
        return " ".join(words)

    def _subreddit(self) -> str:
        draw = self._chance.random()
        if draw < _RARE_SHARE:
            return RARE
        if draw < _RARE_SHARE + _COMMON_SHARE:
            return COMMON
        return self._others[int(_OTHERS ** self._chance.random()) - 1]

    def _hex(self, digits: int) -> str:
        return f"{self._chance.getrandbits(4 * digits):0{digits}x}"

    def _shared(self) -> dict[str, Any]:
        subreddit, created = self._subreddit(), _BEGIN + self._number // 12
        author = f"User_{int(_AUTHORS ** self._chance.random())}"
        return {
            "all_awardings": [],
            "archived": False,
            "author": author,
            "author_created_utc": _BEGIN - len(author) * 7_000_123,
            **_NO_FLAIR,
            "author_fullname": f"t2_{hash_of(author):x}",
            "author_patreon_flair": False,
            "author_premium": False,
            "can_gild": True,
            "created_utc": created,
            "distinguished": None,
            "edited": created + 900.0 if self._chance.random() < 0.04 else False,
            "gilded": 0,
            "gildings": {},
            "id": f"{28_000_000_000 + self._number:x}",
            "locked": False,
            "no_follow": self._chance.random() < 0.5,
            "retrieved_on": created + 2_300_000 + self._number % 4096,
            "score": int(self._chance.expovariate(0.1)),
            "send_replies": True,
            "stickied": False,
            "subreddit": subreddit,
            "subreddit_id": f"t5_{hash_of(subreddit):x}",
            "subreddit_name_prefixed": f"r/{subreddit}",
            "subreddit_type": "public",
            "top_awarded_type": None,
            "total_awards_received": 0,
            "treatment_tags": [],
        }

    def _submission(self) -> dict[str, Any]:
        shared, title = self._shared(), self._text(10).replace("\n", " ")
        link = f"/r/{shared['subreddit']}/comments/{shared['id']}/{title[:40].replace(' ', '_')}/"
        post = {
            **shared,
            "allow_live_comments": False,
            "category": None,
            "content_categories": None,
            "contest_mode": False,
            "discussion_type": None,
            "domain": f"self.{shared['subreddit']}",
            "hidden": False,
            "hide_score": False,
            "is_created_from_ads_ui": False,
            "is_crosspostable": True,
            "is_meta": False,
            "is_original_content": False,
            "is_reddit_media_domain": False,
            "is_robot_indexable": True,
            "is_self": True,
            "is_video": False,
            "link_flair_background_color": "",
            "link_flair_css_class": None,
            "link_flair_richtext": [{"e": "text", "t": "Discussion"}],
            "link_flair_template_id": f"{self._hex(8)}-1111-11ea-8f00-0e{self._hex(10)}",
            "link_flair_text": "Discussion",
            "link_flair_text_color": "dark",
            "link_flair_type": "richtext",
            "media": None,
            "media_embed": {},
            "media_only": False,
            "name": f"t3_{shared['id']}",
            "num_comments": int(self._chance.expovariate(0.2)),
            "num_crossposts": 0,
            "over_18": self._chance.random() < 0.1,
            "parent_whitelist_status": "all_ads",
            "permalink": link,
            "pinned": False,
            "pwls": 6,
            "quarantine": False,
            "removed_by_category": self._chance.choice([None, None, None, "moderator"]),
            "secure_media": None,
            "secure_media_embed": {},
            "selftext": self._gone() or self._text(110),
            "spoiler": False,
            "subreddit_subscribers": len(link) * 123_457,
            "suggested_sort": None,
            "thumbnail": "self",
            "thumbnail_height": None,
            "thumbnail_width": None,
            "title": title,
            "upvote_ratio": round(self._chance.random(), 2),
            "url": f"https://www.reddit.com{link}",
            "whitelist_status": "all_ads",
            "wls": 6,
        }
        if self._chance.random() < 0.08:
            post["preview"] = self._preview()
        if self._chance.random() < 0.04:
            post["crosspost_parent"] = f"t3_{self._hex(6)}"
            post["crosspost_parent_list"] = [{**self._shared(), "selftext": self._text(60)}]
        return dict(sorted(post.items()))

    def _comment(self) -> dict[str, Any]:
        shared = self._shared()
        parent = f"t3_{int(shared['id'], 16) - 4_000:x}"
        return dict(
            sorted(
                {
                    **shared,
                    "associated_award": None,
                    "awarders": [],
                    "body": self._gone() or self._text(40),
                    "can_mod_post": False,
                    "collapsed": False,
                    "collapsed_because_crowd_control": None,
                    "collapsed_reason": None,
                    "controversiality": 0,
                    "is_submitter": False,
                    "link_id": parent,
                    "parent_id": parent,
                    "permalink": f"/r/{shared['subreddit']}/comments/{parent[3:]}/_/{shared['id']}/",
                    "quarantined": False,
                    "removal_reason": None,
                }.items()
            )
        )

    def _gone(self) -> str:
        draw = self._chance.random()
        return "[removed]" if draw < 0.08 else "[deleted]" if draw < 0.12 else ""

    def _preview(self) -> dict[str, Any]:
        """Addresses of a picture in many sizes: what makes some lines long."""
        image = f"https://preview.example/{self._hex(13)}.jpg"
        sizes = [
            {"height": width * 3 // 4, "url": f"{image}?width={width}&amp;s={self._hex(40)}"}
            for width in (108, 216, 320, 640, 960, 1080)
        ]
        return {"enabled": True, "images": [{"id": self._hex(43), "resolutions": sizes}]}


def hash_of(name: str) -> int:
    """A number that is always the same for a name, unlike Python's own."""
    return sum((place + 7) * code for place, code in enumerate(name.encode())) * 2_654_435 % 10**9


def write_dump(path: Path, plain_bytes: int, seed: int = 0) -> int:
    """A dump of so many plain bytes or a line more; returns its lines.

    Frames are of 384 MiB, each with a window of 2 GiB declared, as `zstd --long=31` makes them.
    """
    size = count = 0
    lines = iter(Lines(seed))
    with path.open("wb") as file:
        while size < plain_bytes:
            frame = min(_FRAME_BYTES, plain_bytes - size)
            written = 0
            with _compressor().stream_writer(file, closefd=False) as out:
                while written < frame:
                    written += out.write(next(lines) + b"\n")
                    count += 1
            size += written
    return count


def _compressor() -> zstandard.ZstdCompressor:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        3, window_log=_WINDOW_LOG, enable_ldm=True, write_checksum=True, write_content_size=False
    )
    return zstandard.ZstdCompressor(compression_params=parameters)
