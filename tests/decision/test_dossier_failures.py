"""What the dossier tells of failures is data, and stays data."""

from msgspec.structs import replace
from tests.decision.desk import desk_material
from tests.decision.test_dossier import EVIL, Page

from tunesmith.core.estimates import Estimate
from tunesmith.core.failures import ErrorReport, FailureCluster, FailureKind, Gather, Slice
from tunesmith.decision.dossier import render

HALF = Estimate(value=0.5, low=0.3, high=0.7, n=20)


def report(text, **changes):
    worse = Slice(by="file", value=text, n=20, score=HALF, rest=0.9, difference=-0.4, low=-0.6, high=-0.2,
                  p_value=0.001, q_value=0.01, found=True)  # fmt: skip
    gather = Gather(rank=1, do="gather", by="cluster", value=text, count=20, because=f"10 of 20 fail; {text}",
                    failures=10, n=20, rate=HALF, excess=8.0, found=True, support=3)  # fmt: skip
    made = ErrorReport(
        side="validation", contender="tuned", contender_hash="h", split="s", examples=67, metric="accuracy", score=HALF,
        failures=12, unmeasured=1, slices=(worse,), queue=(gather,),
        kinds=(FailureKind(kind="wrong_label", field="topic", wanted=text, said=text, count=7),),
        clusters=(FailureCluster(name=text, count=7),),
    )  # fmt: skip
    return replace(made, **changes)


def shown(failures):
    return render(replace(desk_material(), failures=failures))


def test_slices_kinds_clusters_and_what_to_add_are_told():
    page = Page(shown(report("parcel")))
    text = page.said
    assert "tuned on 67 validation examples: 12 fail by accuracy, 1 have no score" in text
    for told in ("file: parcel", "wrong label", "parcel: 7", "gather 20: cluster: parcel", "10 of 20 fail"):
        assert told in text
    assert page.ids.count("failures") == 1


def test_texts_of_users_and_models_stay_text():
    html = shown(report(EVIL))
    Page(html)
    assert "<script>" not in html
    assert "onerror=alert(1)>" not in html


def test_without_an_analysis_it_says_what_to_type_and_with_nothing_found_so():
    assert "Failures have not been looked at" in shown(None)
    plain = shown(report("x", slices=(), kinds=(), clusters=(), queue=()))
    assert "Of 0 slices none is shown to differ" in plain
    assert 'class="named-by-words"' not in plain
    assert 'class="named-by-words"' in shown(report("x"))
