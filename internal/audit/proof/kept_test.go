package proof_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/internal/audit/proof"
)

func notes(t testing.TB, n int64) [][]byte {
	t.Helper()
	log := newSigner(t, name, 1)
	tr := newTree(t, n)
	var out [][]byte
	for i := range n {
		_, msg := tr.checkpoint(t, i+1, log)
		out = append(out, msg)
	}
	return out
}

func read(t testing.TB, s string) [][]byte {
	t.Helper()
	got, err := proof.ReadKept(iotest.OneByteReader(strings.NewReader(s)))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestReadKept(t *testing.T) {
	t.Parallel()
	n := notes(t, 3)
	blocks := fmt.Sprintf("%s\n%s\n%s\n", n[0], n[1], n[2])
	syslog := "Mar  4 12:00:00 host cron[1]: something else\n"
	for _, m := range n {
		syslog += "2026-03-04T12:00:00Z host sealpost[17]: " + proof.KeptLine(m) + "\n"
	}
	long := strings.Repeat("x", 4*proof.MaxNote)
	for what, c := range map[string]struct {
		in   string
		want [][]byte
	}{
		"nothing":            {"", nil},
		"one note as it is":  {string(n[0]), n[:1]},
		"notes":              {blocks, n},
		"notes twice":        {blocks + blocks, n},
		"Windows newlines":   {strings.ReplaceAll(blocks, "\n", "\r\n"), n},
		"no last newline":    {strings.TrimRight(blocks, "\n"), n},
		"more empty lines":   {strings.ReplaceAll(blocks, "\n\n—", "\n\n—") + "\n\n" + string(n[0]), n},
		"system log":         {syslog, n},
		"system log, mixed":  {blocks + "\n" + syslog, n},
		"lines too long":     {long + "\n" + blocks + long + "\n\n" + string(n[0]) + "\n" + long, n},
		"prose":              {"Checkpoints of the\naudit log\n\n" + blocks, n},
		"base64 that is bad": {"audit-checkpoint size=1 note=!!!\naudit-checkpoint size=1\n" + blocks, n},
	} {
		if diff := cmp.Diff(c.want, read(t, c.in)); diff != "" {
			t.Errorf("%s: %s", what, diff)
		}
	}
	if _, err := proof.ReadKept(iotest.ErrReader(io.ErrUnexpectedEOF)); err == nil {
		t.Error("a read error is swallowed")
	}
}

// Wherever a crash tears the last block of a file, what was whole before is read, and so is what is written next.
func TestTornFile(t *testing.T) {
	t.Parallel()
	n := notes(t, 3)
	whole := string(proof.KeptBlock(n[0], false))
	second := proof.KeptBlock(n[1], false)
	for cut := range len(second) {
		file := whole + string(second[:cut])
		file += string(proof.KeptBlock(n[2], !strings.HasSuffix(file, "\n\n")))
		got := read(t, file)
		want := [][]byte{n[0], n[2]}
		if cut == len(second)-1 {
			want = [][]byte{n[0], n[1], n[2]} // only the empty line is missing
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("cut after %d bytes: %s", cut, diff)
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, n := range notes(f, 2) {
		f.Add(n)
	}
	f.Add([]byte("a\n1\n\n\n\n— a AAAAAAAA\n"))
	v := verifiers(f, newSigner(f, name, 1))
	f.Fuzz(func(t *testing.T, msg []byte) {
		c, err := proof.Open(msg, v)
		if err == nil && !bytes.HasPrefix(msg, []byte(c.Text())) {
			t.Errorf("%+v is not what was signed", c)
		}
	})
}

func FuzzProofs(f *testing.F) {
	log := newSigner(f, name, 1)
	tr := newTree(f, 20)
	for _, p := range []interface{ MarshalText() ([]byte, error) }{tr.inclusion(f, 3, 20, log), tr.consistency(f, 7, 20, log), tr.inclusion(f, 0, 1, log)} {
		text, err := p.MarshalText()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	v := verifiers(f, log)
	f.Fuzz(func(t *testing.T, text []byte) {
		var i proof.Inclusion
		if i.UnmarshalText(text) == nil {
			var again proof.Inclusion
			out, err := i.MarshalText()
			if err == nil {
				err = again.UnmarshalText(out)
			}
			if err != nil || cmp.Diff(i, again) != "" {
				t.Errorf("%+v became %+v, %v", i, again, err)
			}
			_, _ = i.Check([32]byte{}, v)
		}
		var c proof.Consistency
		if c.UnmarshalText(text) == nil {
			out, err := c.MarshalText()
			if err != nil || !bytes.Equal(out, text) {
				t.Errorf("%q became %q, %v", text, out, err)
			}
			_, _ = c.Check(proof.Checkpoint{Origin: name, Size: c.OldSize}, v)
		}
	})
}

func FuzzReadKept(f *testing.F) {
	n := notes(f, 2)
	f.Add(append(proof.KeptBlock(n[0], false), proof.KeptBlock(n[1], true)...))
	f.Add([]byte(proof.KeptLine(n[0])))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := proof.ReadKept(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range got {
			if len(m) > proof.MaxNote {
				t.Errorf("a note of %d bytes", len(m))
			}
		}
	})
}
