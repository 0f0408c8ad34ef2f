"""What a user agent says in words of ours: the kind of device and the family of the browser, by the data of the ua-parser project.

A user agent is text that its sender chose: an e-mail address, a name or an id may stand in it, and ua-parser hands parts of it on as the family
of a crawler. So both answers come from closed lists, and whatever is not on them is `other` (C-3.3b). Programs that fetch by themselves are
`bot` in both: crawlers, feed readers, scripts and whoever gives an address of a page or a mailbox to complain to.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any

DEVICE_CLASSES = ("bot", "tablet", "mobile", "desktop", "other")
BROWSERS = ("bot", "Amazon Silk", "Android", "Brave", "Chrome", "Chrome Mobile", "Chrome Mobile WebView", "Chrome Mobile iOS", "Chromium", "Edge",
            "Edge Mobile", "Facebook", "Firefox", "Firefox Mobile", "Firefox iOS", "Google", "IE", "IE Mobile", "Iceweasel", "Instagram",
            "Konqueror", "MIUI Browser", "Maxthon", "Midori", "Mobile Safari", "Mobile Safari UI/WKWebView", "Opera", "Opera Mini", "Opera Mobile",
            "Pale Moon", "QQ Browser", "Safari", "Samsung Internet", "SeaMonkey", "UC Browser", "Vivaldi", "Yandex Browser", "other")
LONGEST = 1024  # characters that are looked at: no browser needs more, and a log line may hold a megabyte
_KNOWN = 1 << 16  # different agents of which the answer is kept
_DESKTOPS = ("Windows", "Mac OS X", "Chrome OS", "Linux", "Ubuntu", "Debian", "Fedora", "CentOS", "Red Hat", "SUSE", "Arch Linux", "Gentoo", "Mint",
             "FreeBSD", "NetBSD", "OpenBSD", "Solaris")
_MOBILES = ("iOS", "Android", "Windows Phone", "Windows Mobile", "BlackBerry OS", "Symbian OS", "KaiOS", "Firefox OS", "HarmonyOS", "Tizen", "Bada")
# all in small letters. Programs of which ua-parser has no rule, or none that says they are programs
_BOT = re.compile(r"bot\b|crawl|spider|slurp|curl|wget|python|libwww|okhttp|httpclient|http-client|go-http|java/|ruby|library|feed|rss\b|fetch|"
                  r"monitor|preview|validator|headless|phantom|archiver|chef client|https?://|[^\s@]@[^\s@]")
_TABLET = re.compile(r"ipad|tablet(?! pc)|kindle|silk/|playbook|nexus (?:7|9|10)\b")
_MOBILE = re.compile(r"mobile|phone|midp|blackberry|opera mini|dalvik")
_TV = re.compile(r"smart-?tv|hbbtv|apple ?tv|android tv|bravia|roku")


def device_class(agent: str) -> str:
    """One of DEVICE_CLASSES."""
    return judged(agent)[0]


def browser(agent: str) -> str:
    """One of BROWSERS."""
    return judged(agent)[1]


def number(agent: str) -> int:
    """Both answers as one number: the place of the device class times the number of browsers, plus the place of the browser."""
    kind, name = judged(agent)
    return DEVICE_CLASSES.index(kind) * len(BROWSERS) + BROWSERS.index(name)


@lru_cache(_KNOWN)
def judged(agent: str) -> tuple[str, str]:
    """Device class and browser of a user agent, worked out once per text and process."""
    text = agent[:LONGEST]
    found = _parser().parse(text)
    family = found.user_agent.family if found.user_agent else None
    device = found.device.family if found.device else None
    small = text.lower()
    if device == "Spider" or _BOT.search(small):
        return "bot", "bot"
    return _device_class(small, found.os.family if found.os else None, device), family if family in BROWSERS else "other"


def _device_class(text: str, system: str | None, device: str | None) -> str:
    if _TV.search(text):
        return "other"
    if device in ("iPad", "Generic Tablet") or _TABLET.search(text) or (system == "Android" and not _MOBILE.search(text)):
        return "tablet"  # Android: whoever is a telephone says so, by the rule of its makers
    if system in _MOBILES or device in ("Generic Smartphone", "Generic Feature Phone") or _MOBILE.search(text):
        return "mobile"
    return "desktop" if system in _DESKTOPS else "other"


@cache
def _parser() -> Any:
    """All rules at once in linear time (ua-parser's native engine): no agent can be written so that reading it takes for ever. Loading takes half a
    second, so it waits for the first agent."""
    from ua_parser import Parser, regex
    from ua_parser.loaders import load_builtins

    return Parser(regex.Resolver(load_builtins()))
