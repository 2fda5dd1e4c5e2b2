"""The stage controller, line by line."""

import pytest
from halidescope.simulators.bench import Bench
from halidescope.simulators.faults import FaultBoard
from halidescope.simulators.gcs import E727


class Terminal:
    """Types at the controller; every answer ends with a line feed that no blank precedes."""

    def __init__(self, controller: E727) -> None:
        self.controller = controller
        self.session = controller.session()

    def __call__(self, text: str) -> list[str]:
        """Lines of the answer; empty if there is none."""
        replies = self.session.feed(text.encode("latin-1"))
        assert len(replies) <= 1
        if not replies:
            return []
        answer = replies[0].decode()
        assert answer.endswith("\n")
        *first, last = answer[:-1].split("\n")
        assert not last.endswith(" ")
        assert all(line.endswith(" ") for line in first)
        return [line.rstrip(" ") for line in (*first, last)]

    def error(self) -> int:
        return int(self("ERR?\n")[0])

    def value(self, query: str) -> float:
        return float(self(f"{query}\n")[0].split("=")[1])

    def settle(self) -> None:
        self.controller.bench.clock.time_s += 1.0


@pytest.fixture
def stage(bench: Bench, faults: FaultBoard) -> Terminal:
    for axis in bench.axes.values():
        axis.servo = False
    return Terminal(E727(bench, faults))


@pytest.fixture
def servo(stage: Terminal) -> Terminal:
    stage("SVO 1 1 2 1\n")
    stage.settle()
    return stage


def test_identity_and_axes(stage: Terminal) -> None:
    assert stage("*IDN?\n") == stage("IDN?\n")
    assert "Physik Instrumente" in stage("*IDN?\n")[0]
    assert "E-727" in stage("*IDN?\n")[0]
    assert stage("SAI?\n") == stage("SAI? ALL\n") == ["1", "2", "3"]
    assert stage("CSV?\n") == ["2.0"]
    assert stage("TMN? 1\n") == ["1=0.00000000e+00"]
    assert stage("TMX?\n") == [f"{axis}=2.00000000e+02" for axis in "123"]


def test_multi_line_answers_mark_every_line_but_the_last(stage: Terminal) -> None:
    assert stage.session.feed(b"SVO? 1 2\n") == [b"1=0 \n2=0\n"]


def test_moves_need_the_servo(stage: Terminal) -> None:
    before = stage.value("POS? 1")
    assert stage("MOV 1 50\n") == []
    assert stage.error() == 5
    assert stage.error() == 0
    stage.settle()
    assert stage.value("POS? 1") == pytest.approx(before, abs=0.01)


def test_a_move_arrives_and_says_so(servo: Terminal) -> None:
    servo("MOV 1 12.5 2 100.25\n")
    assert servo("ONT? 1 2\n")[0] == "1=0"
    assert servo("\x05") == ["3"]
    assert servo("MOV? 1\n") == ["1=1.25000000e+01"]
    servo.settle()
    assert servo("ONT? 1 2\n") == ["1=1", "2=1"]
    assert servo("\x05") == ["0"]
    assert servo.value("POS? 1") == pytest.approx(12.5, abs=0.005)
    assert servo.value("POS? 2") == pytest.approx(100.25, abs=0.005)
    servo("MVR 1 -0.5\n")
    servo.settle()
    assert servo.value("POS? 1") == pytest.approx(12.0, abs=0.005)
    assert servo.error() == 0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("MOV 1 200.5", 7), ("MOV 1 -0.1", 7), ("MOV 1 5 2 300", 7), ("MVR 1 500", 7), ("MOV 9 5", 15), ("POS? 7", 15),
        ("MOV 1", 26), ("MOV", 26), ("MOV 1 five", 1), ("MOV 1 nan", 17), ("SVO 1 2", 17), ("VEL 1 -3", 8),
        ("VEL 1 1e9", 8), ("FRF 1", 2), ("TRS?", 2), ("nonsense", 2), ("WAX? 1 1", 2), ("SPA? 1 0x1", 54),
        ("SPA? 1 what", 1), ("SPA? 1", 26), ("SPA 1 0x07000001 100", 60), ("SPA 1 0x0E000200 1", 60),
        ("SPA 1 0x07000900 -1", 17), ("CCL 1 wrong", 17), ("SAI? SOME", 17), ("POS? " + "1 " * 33, 24),
        ("X" * 5000, 3), ("IFC? NOTHING", 54),
    ],
)
def test_refusals_answer_nothing_and_set_the_error_register(servo: Terminal, command: str, code: int) -> None:
    before = [servo.value(f"MOV? {axis}") for axis in "12"]
    assert servo(command + "\n") == []
    assert [servo.value(f"MOV? {axis}") for axis in "12"] == before
    assert servo.error() == code
    assert servo.error() == 0


@pytest.mark.parametrize("stop", ["STP\n", "\x18", "HLT 1\n", "HLT\n"])
def test_stops_hold_the_axis_and_leave_error_10(servo: Terminal, stop: str) -> None:
    servo("MOV 1 0\n")
    servo.controller.bench.clock.time_s += 0.005
    assert servo(stop) == []
    assert servo.error() == 10
    held = servo.value("POS? 1")
    assert 50.0 < held < 99.0
    servo.settle()
    assert servo.value("POS? 1") == pytest.approx(held, abs=0.05)


def test_single_bytes_act_in_the_middle_of_a_line(servo: Terminal) -> None:
    assert servo.session.feed(b"PO\x07S? ") == [b"\xb1\n"]
    assert len(servo.session.feed(b"1\n")) == 1
    assert servo("\x09") == ["0"]
    assert servo("\x04") == ["0x0000"]


def test_velocity_decides_how_long_a_move_takes(servo: Terminal) -> None:
    servo("VEL 1 10\nMOV 1 110\n")
    clock = servo.controller.bench.clock
    clock.time_s += 0.5
    assert servo.value("POS? 1") == pytest.approx(105.0, abs=0.1)
    assert servo.value("VEL? 1") == 10.0
    clock.time_s += 0.6
    assert servo("ONT? 1\n") == ["1=1"]


def test_parameters_by_hexadecimal_and_decimal_number(servo: Terminal) -> None:
    assert servo("SPA? 1 0x07000900\n") == servo(f"SPA? 1 {0x07000900}\n") == ["1 0x7000900=2.00000000e-02"]
    servo("SPA 1 0x07000900 0.05\n")
    assert servo("SPA? 1 0x07000900\n") == ["1 0x7000900=5.00000000e-02"]
    servo("CCL 1 advanced\n")
    assert servo("CCL?\n") == ["1"]
    servo("SPA 1 0x07000001 150\nMOV 1 160\n")
    assert servo.error() == 7


def test_help_lists_exactly_what_is_there(servo: Terminal) -> None:
    title, *entries, end = servo("HLP?\n")
    assert end == "end of help"
    words = [entry.split()[0] for entry in entries]
    assert {"MOV", "POS?", "ONT?", "*IDN?", "SVO", "ERR?"} <= set(words)
    for word in words:
        servo(word + "\n")
        assert servo.error() != 2, f"{word} is listed and unknown"
    parameters = servo("HPA?\n")
    assert parameters[-1] == "end of help"
    assert all("=" in line for line in parameters[1:-1])
    assert "=" not in title


def test_autozero_moves_the_axis(servo: Terminal) -> None:
    servo("ATZ 1 NaN\n")
    servo.settle()
    assert servo.value("POS? 1") == pytest.approx(0.0, abs=0.01)
    assert servo("ATZ? 1\n") == ["1=1"]


def test_a_lost_servo_is_an_overflow_until_it_is_closed_again(servo: Terminal, faults: FaultBoard) -> None:
    faults.inject("stage-servo-off", after=1)
    servo("MOV 1 10\n")
    servo.settle()
    assert servo("SVO? 1\n") == ["1=1"]
    servo("MOV 1 20\n")
    assert servo.error() == 5
    assert (servo("SVO? 1 2\n"), servo("OVF? 1\n"), servo("ONT? 1\n")) == (["1=0", "2=0"], ["1=1"], ["1=0"])
    servo("SVO 1 1\n")
    assert servo("OVF? 1\n") == ["1=0"]


def test_a_stalled_stage_is_never_on_target(servo: Terminal, faults: FaultBoard) -> None:
    faults.inject("stage-stall")
    servo("MOV 1 150\n")
    servo.settle()
    assert servo("ONT? 1\n") == ["1=0"]
    assert servo.value("POS? 1") == pytest.approx(100.0, abs=0.01)
    faults.clear()
    servo.settle()
    assert servo("ONT? 1\n") == ["1=1"]
    assert servo.value("POS? 1") == pytest.approx(150.0, abs=0.01)
