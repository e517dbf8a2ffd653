"""A workspace, and a server that answers by what it is told, for the searches of the best way to ask."""

from tests.cli.driving import typed
from tests.models.fake_server import says
from tests.workspace.toy import MESSAGES, write_csv, write_settings

from tunesmith import Workspace
from tunesmith.core.splits import Split

TOPIC = {text: label for label, texts in MESSAGES.items() for text in texts.splitlines()}
BEST = {"least_rows": 10, "held_back": 0.4, "calls": 300}


def obeys(*signs, writes=None):
    """A server that answers right where its orders hold one of these signs, and else says the same to everybody."""

    def answer(body, number):
        orders, message = body["messages"][0]["content"], body["messages"][-1]["content"]
        if orders.startswith("You improve the instructions"):
            return says(writes)
        return says(TOPIC[message] if any(sign in orders for sign in signs) else "billing", prompt=len(orders))

    return answer


def desk(folder, shares=("0.4", "0.2"), **settings):
    Workspace.init(folder / "desk", source=write_csv(folder / "examples.csv"), prompt="text", completion="topic")
    write_settings(folder / "desk", **({"contenders": {"best": BEST}} | settings))
    assert (
        typed("-C", folder / "desk", "split", "--validation", shares[0], "--test", shares[1], "--seed", "1").status == 0
    )
    return folder / "desk"


def at(server, **more):
    return {"base": "m", "base_url": server.url, "embedder": "ngrams", **more}


def run(folder, *words):
    ended = typed("-C", folder, *words, "--json")
    assert ended.status == 0, ended.err
    return ended.json


def searched(folder, *words):
    return run(folder, "baseline", "--best", *words)


def split_of(folder):
    return Workspace(folder).home.latest("split", "split", Split)[0]
