package main

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each run that waits keeps a processor, which its server then cannot have.
func TestMain(m *testing.M) {
	runtime.GOMAXPROCS(8)
	os.Exit(m.Run())
}

func TestAPlanThatCannotBeReadIsRefusedInOneLine(t *testing.T) {
	const slots = `"slots": [{"request": "", "contains": ""}]`
	const whole = `"target": "x:1", "path": "/a/b", "kind": "unary", ` + slots
	for text, says := range map[string]string{
		``:                                   "EOF",
		`no JSON`:                            "invalid character",
		`{` + whole + `, "requests": 1} {}`:  "more than one",
		`{` + whole + `, "request": 1}`:      "unknown field",
		`{"path": "/a/b"}`:                   "target",
		`{` + whole + `}`:                    `"requests" alone`,
		`{` + whole + `, "requests": -1}`:    `"requests" alone`,
		`{` + whole + `, "rate": 5}`:         `"requests" alone`,
		`{` + whole + `, "connections": -1}`: "connections",
		`{` + whole + `, "requests": 1, "rate": 5, "seconds": 1}`:           `"requests" alone`,
		`{` + whole + `, "rate": 0.1, "seconds": 1}`:                        "at least one",
		`{` + whole + `, "requests": 1, "window": 2}`:                       "only for bidi",
		`{` + whole + `, "requests": 1, "timeout": -1}`:                     "timeout",
		`{` + whole + `, "requests": 1, "metadata": {"Key": "x"}}`:          "lower case",
		`{` + whole + `, "requests": 1, "metadata": {"k": "` + long + `"}}`: "metadata",
		`{` + whole + `, "requests": 1, "slots": [{"request": "%"}]}`:       "base64",
		`{` + whole + `, "kind": "bidi", "rate": 5, "seconds": 1}`:          "not for bidi",
		`{` + whole + `, "kind": "stream", "requests": 1}`:                  "kind",
		`{` + whole + `, "requests": 1, "slots": []}`:                       "slots",
		`{` + whole + `, "rate": 5, "seconds": 1, "in_flight": 1}`:          "in_flight: only for unary",
		`{` + whole + `, "requests": 1, "in_flight": 2}`:                    "in_flight: as many",
		`{` + whole + `, "requests": 1, "in_flight": -1}`:                   "in_flight: as many",
		opening(`"request": "", "after": "YQ=="`):                           "slots[1].opening: placeholder",
		opening(`"request": "", "placeholder": "YQ=="`):                     "slots[1].opening: after",
		opening(`"placeholder": "YQ==", "after": "YQ=="`):                   "once, not 2 times",
		opening(`"placeholder": "Yg==", "after": "YQ=="`):                   "once, not 0 times",
		opening(`"learns": "YQ=="`):                                         "unknown field",
		opening(`"placeholder": "YQ==", "after": "YQ=="`, `"kind": "bidi"`): "slots[1].opening: only for unary",
	} {
		var out, problems bytes.Buffer
		code := play(strings.NewReader(text), &out, &problems)
		said := problems.String()
		if code != 2 || out.Len() > 0 || strings.Count(said, "\n") != 1 || !strings.Contains(said, says) {
			t.Errorf("%.150s: exit code %d, said %q", text, code, said)
		}
	}
}

// opening returns a plan whose second slot, with "aa" as its request, has this opening.
func opening(fields string, more ...string) string {
	const whole = `"target": "x:1", "path": "/a/b", "kind": "unary", "requests": 1, `
	slots := `"slots": [{"request": ""}, {"request": "YWE=", "opening": {` + fields + `}}]`
	return `{` + whole + strings.Join(append(more, slots), ", ") + `}`
}

var long = strings.Repeat("x", 10_000)

func TestThePlanOfTheDocumentationIsRead(t *testing.T) {
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	plan, after, _ := bytes.Cut(text[bytes.Index(text, []byte("//\t{")):], []byte("}\n"))
	read, err := readPlan(bytes.NewReader(append(bytes.ReplaceAll(plan, []byte("//"), nil), '}')))
	if err != nil || len(after) == 0 {
		t.Fatalf("%v: %s", err, plan)
	}
	if wanted, _ := base64.StdEncoding.DecodeString("CgRlY2hv"); !bytes.Equal(read.Slots[0].Request, wanted) {
		t.Errorf("it was read as %+v", read)
	}
}

func TestPercentilesAreTimesThatWereMeasured(t *testing.T) {
	var times []time.Duration
	for i := range 1000 {
		times = append(times, time.Duration(1000-i)*time.Millisecond)
	}
	wanted := Latency{Min: 1, Mean: 500.5, P50: 500, P90: 900, P99: 990, P999: 999, Max: 1000}
	if got := describe(times); got != wanted {
		t.Errorf("%+v instead of %+v", got, wanted)
	}
	if got := describe([]time.Duration{time.Millisecond}); got != (Latency{1, 1, 1, 1, 1, 1, 1}) {
		t.Errorf("%+v for a single time", got)
	}
	if got := describe(nil); got != (Latency{}) {
		t.Errorf("%+v for none", got)
	}
}

func TestErrorsWithIDsInTheirTextsDoNotFillTheReport(t *testing.T) {
	f := failures{}
	for i := range 1000 {
		f.add(fmt.Sprint(i), 1)
		f.add("0", 1)
	}
	if len(f) > maxFailureNames+1 || f["0"] != 1001 || f["others"] != 1000-maxFailureNames {
		t.Errorf("%d names, %d others", len(f), f["others"])
	}
}

func TestMessagesAreTheSameHoweverFramesDivideThem(t *testing.T) {
	wanted := []string{"", "a", strings.Repeat("b", 40), ""}
	var data []byte
	for _, text := range wanted {
		data = append(data, framed(0, text)...)
	}
	for size := 1; size <= len(data); size++ {
		var a assembler
		var got []string
		for part := range slices.Chunk(data, size) {
			for body, rest, ok := a.next(part); ok; body, rest, ok = a.next(rest) {
				got = append(got, string(body))
			}
		}
		if !slices.Equal(got, wanted) || a.inside() {
			t.Errorf("%q in parts of %d", got, size)
		}
	}
}

func TestAQueueKeepsItsOrder(t *testing.T) {
	var q queue
	var in, out []*slot
	for round := range 50 {
		for range round % 7 {
			s := &slot{}
			in = append(in, s)
			q.push(s)
		}
		for range min(round%5, q.len()) {
			out = append(out, q.pop())
		}
	}
	q.remove(&slot{})
	gone := in[len(in)-1]
	q.remove(gone)
	for q.len() > 0 {
		out = append(out, q.pop())
	}
	if !slices.Equal(append(out, gone), in) {
		t.Error("slots came out in another order")
	}
}
