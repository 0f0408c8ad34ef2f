"""User agents become words from closed lists: by ua-parser's data, once per text, whatever else somebody wrote into one."""

from __future__ import annotations

import pytest

from pipelines.pseudonymisation import agents
from pipelines.pseudonymisation.agents import BROWSERS, DEVICE_CLASSES, judged, number
from pipelines.pseudonymisation.transforms import expression, prepare, words
from tests.house import REAL_LOG, engine, rulebook

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0"
AGENTS = {
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36": ("desktop", "Chrome"),
    "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:37.0) Gecko/20100101 Firefox/37.0": ("desktop", "Firefox"),
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko": ("desktop", "IE"),
    # a notebook with a pen calls itself a tablet PC
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)": ("desktop", "IE"),
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.6 Mobile/15E148 Safari/604.1":
        ("mobile", "Mobile Safari"),
    f"Mozilla/5.0 (Linux; Android 14; Pixel 8) {CHROME} Mobile Safari/537.36": ("mobile", "Chrome Mobile"),
    "Mozilla/5.0 (iPad; CPU OS 8_3 like Mac OS X) AppleWebKit/600.1.4 (KHTML, like Gecko) Version/8.0 Mobile/12F69 Safari/600.1.4":
        ("tablet", "Mobile Safari"),
    # Android: who is a telephone says Mobile
    f"Mozilla/5.0 (Linux; Android 13; SM-X200) {CHROME} Safari/537.36": ("tablet", "Chrome"),
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)": ("bot", "bot"),
    # a crawler that says it is a telephone
    f"Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X) {CHROME} Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)":
        ("bot", "bot"),
    "python-requests/2.31.0": ("bot", "bot"),
    "UniversalFeedParser/4.2 +http://feedparser.org/": ("bot", "bot"),
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 5.0) AppleWebKit/538.1 (KHTML, like Gecko) Version/5.0 TV Safari/538.1": ("other", "Safari"),
    "-": ("other", "other"),
    "": ("other", "other"),
}


@pytest.mark.parametrize(("agent", "expected"), AGENTS.items())
def test_a_user_agent_is_one_kind_of_device_and_one_browser(agent, expected):
    assert judged(agent) == expected


@pytest.mark.parametrize("agent", ["jeanne.martin@exemple.fr bot/1.0", "m000123-bot/2.0", "Jeanne/1.0 (Windows NT 10.0)", "x" * 100_000,
                                   "a" * 500 + "bot" + "\0" * 500, "Mozilla/5.0 " + "(" * 5000])
def test_nothing_that_a_sender_wrote_into_an_agent_gets_through(agent):
    """ua-parser's own family of a crawler is text of the agent: 'm000123-bot'."""
    kind, name = judged(agent)
    assert kind in DEVICE_CLASSES and name in BROWSERS


def test_of_an_agent_of_any_length_only_the_beginning_is_read():
    assert judged("Mozilla/5.0 (X11; Linux)" + " " * agents.LONGEST + "Googlebot") == judged("Mozilla/5.0 (X11; Linux)")


@pytest.mark.skipif(not REAL_LOG.exists(), reason="the real log is not at hand")
def test_of_a_real_log_crawlers_are_found_and_few_agents_remain_unknown():
    found = [line.rsplit('"', 2)[1] for line in REAL_LOG.read_text(errors="replace").splitlines() if line.count('"') >= 6]
    kinds = [judged(agent)[0] for agent in found]
    share = {kind: kinds.count(kind) / len(kinds) for kind in DEVICE_CLASSES}
    assert len(kinds) > 9_900 and 0.2 < share["bot"] < 0.3 and share["other"] < 0.05
    assert share["desktop"] > 0.6 and share["mobile"] > share["tablet"] > 0
    crawlers = [agent for agent in found if "bot" in agent.lower() or "spider" in agent.lower()]
    assert len(crawlers) > 1_000 and {judged(agent) for agent in crawlers} == {("bot", "bot")}


@pytest.mark.parametrize("seen_before", [True, False])
def test_sql_says_the_same_of_agents_that_were_worked_out_before_and_of_others(tmp_path, seen_before):
    connection = engine.connect(tmp_path, extensions=())
    connection.execute("create table seen as select unnest($agents::varchar[]) as agent union all select null", {"agents": [*AGENTS, *AGENTS]})
    prepare(connection, ["select distinct agent from seen"] if seen_before else [])
    column = rulebook().contract("access_logs").column("user_agent")
    sql = [expression(column, column.transforms[purpose], "seen.agent", None) for purpose in ("analytics", "security")]
    found = connection.execute(f"select agent, {', '.join(sql)} from seen").fetchall()
    assert {agent: words for agent, *words in found} == {agent: list(expected) for agent, expected in AGENTS.items()} | {None: [None, None]}
    assert len(found) == 2 * len(AGENTS) + 1


def test_the_words_that_marts_are_tested_for_are_those_that_agents_become():
    column = rulebook().contract("access_logs").column("user_agent")
    assert words(column, column.transforms["analytics"]) == DEVICE_CLASSES
    assert words(column, column.transforms["security"]) == BROWSERS
    assert len({number(agent) for agent in AGENTS}) == len(set(AGENTS.values()))


def test_each_different_agent_is_read_once(monkeypatch):
    asked = []

    class Parser:
        def parse(self, text):
            asked.append(text)
            return real.parse(text)

    real = agents._parser()
    monkeypatch.setattr(agents, "_parser", Parser)
    for _ in range(3):
        judged("an agent that nobody has, 1")
    assert asked == ["an agent that nobody has, 1"]
