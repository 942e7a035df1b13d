"""The drawing of the packages: all of them, and no import that points up."""

from xml.etree import ElementTree as ET

from scripts.floors_picture import drawn, floors, imports


def test_every_package_is_drawn_and_every_import_points_down() -> None:
    """As the contract has them; a dot above the diagonal would be an import upwards."""
    building, counts = floors(), imports()
    order = [floor.name for floor in building]
    assert {"cli", "trainer", "errors"} < set(order)
    shared = {frozenset({"config", "runtime"}), frozenset({"files", "logs"})}
    for upper, lower in counts:
        assert order.index(upper) < order.index(lower) or {upper, lower} in shared, (upper, lower)
    picture = ET.fromstring(drawn(building, counts))  # noqa: S314  (our own)
    words = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert set(order) <= words
