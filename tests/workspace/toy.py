"""A toy task for tests: twenty short messages a label, told apart by their words, and a tiny random model to ask."""

from __future__ import annotations

import csv
from pathlib import Path

__all__ = ["MESSAGES", "write_csv", "write_settings"]

MESSAGES = {
    "returns": """can i send the grey lamp back
the shoes are too small, how do i return them
i want to give back a keyboard i bought on friday
return label for my jacket please
this kettle is not for me, taking it back
wrong colour, i would like to swap it
how long do i have to bring something back
the box is open, may i still return the phone
sending back two of the three mugs
please collect the sofa, we do not like it
exchange for a larger size
my dad wants to return his watch
gift did not fit, can it go back
i changed my mind about the tent
refund after returning the router
do you take back opened headphones
where do i drop off a return
the return slip is missing in my parcel
send me a new return code
can a friend return it for me""",
    "billing": """you charged my card twice
the invoice shows a wrong address
why is there a fee of three euros
i need a receipt for my tax office
my voucher was not taken off the price
pay by bank transfer, is that possible
the amount on my statement is not what i agreed to
please split the payment in three
vat number is missing from the bill
i was billed after cancelling
do you accept american express
price went down a day after i paid
copy of the invoice from march
my payment failed four times
charge in dollars instead of euros
who is this debit from
the discount code does not work
can i pay on delivery
double booking on my account statement
my credit note has not arrived""",
    "shipping": """where is my parcel
the courier left it in the rain
tracking has not moved for five days
can you deliver to a locker
wrong house number on my order
how much is express to norway
the package arrived empty
my neighbour never got the parcel
when does the van come today
do you ship to islands
half of my order is missing
parcel stuck at customs
please leave it at the back door
delivery was planned for monday
the driver could not find us
is saturday delivery possible
change the address, we are moving
the box was crushed
it says delivered but nothing is here
ship both orders together""",
}


def write_csv(path: Path, rows: int = 20) -> Path:
    """A file of examples: columns text and topic."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "topic"])
        for label, texts in MESSAGES.items():
            writer.writerows([text, label] for text in texts.splitlines()[:rows])
    return path


def write_settings(folder: Path, **changes: object) -> None:
    """Change top-level keys of a workspace's tunesmith.yaml."""
    import yaml

    path = folder / "tunesmith.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | changes, sort_keys=False))
