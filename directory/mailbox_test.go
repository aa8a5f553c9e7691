package directory_test

import (
	"log/slog"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sealpost/sealpost/directory"
)

var mailboxCases = []struct{ in, want string }{ // want "": refused
	{"alice@example.test", "alice@example.test"},
	{"Alice.Anders+tag@EXAMPLE.Test", "Alice.Anders+tag@example.test"},
	{"o'hara!#$%&*-/=?^_`{|}~@example.test", "o'hara!#$%&*-/=?^_`{|}~@example.test"},
	{"grün@example.test", "grün@example.test"},
	{"用户@例子.测试", "用户@xn--fsqu00a.xn--0zwm56d"},
	{"alice@bücher.example", "alice@xn--bcher-kva.example"},
	{"alice@BÜCHER.example", "alice@xn--bcher-kva.example"},
	{"alice@XN--BCHER-KVA.example", "alice@xn--bcher-kva.example"},
	{"alice@straße.example", "alice@xn--strae-oqa.example"},
	{strings.Repeat("a", 64) + "@example.test", strings.Repeat("a", 64) + "@example.test"},
	{"a@sub.sub.example.test", "a@sub.sub.example.test"},

	{"", ""}, {"@", ""}, {"alice", ""}, {"alice@", ""}, {"@example.test", ""},
	{"alice@localhost", ""}, {"alice@127.0.0.1", ""}, {"alice@[127.0.0.1]", ""}, {"alice@example.123", ""},
	{"a@b@example.test", ""}, {`"a b"@example.test`, ""}, {"a b@example.test", ""}, {"<alice@example.test>", ""},
	{"Alice <alice@example.test>", ""}, {"mailto:alice@example.test", ""}, {"alice@example.test, bob@example.test", ""},
	{".alice@example.test", ""}, {"alice.@example.test", ""}, {"a..b@example.test", ""},
	{"alice@example.test.", ""}, {"alice@.example.test", ""}, {"alice@example..test", ""},
	{"alice@-example.test", ""}, {"alice@exa_mple.test", ""}, {"alice@exa mple.test", ""}, {"alice@example.test\x00", ""},
	{"alice\x00@example.test", ""}, {"alice\r\nBcc: x@example.test", ""}, {"al\tice@example.test", ""}, {"alice\x7f@example.test", ""},
	{"\xff@example.test", ""}, {"alice@\xff.test", ""}, {"\u202eecila@example.test", ""}, {"a\u200blice@example.test", ""},
	{"a\u00a0b@example.test", ""}, {"\ufeffalice@example.test", ""}, {"alice@xn--a.example", ""}, {"alice@xn--.example", ""},
	{strings.Repeat("a", 65) + "@example.test", ""}, {strings.Repeat("ü", 33) + "@example.test", ""},
	{"a@" + strings.Repeat("a", 64) + ".test", ""}, {"a@" + strings.Repeat("abcdefg.", 32) + "test", ""},
}

func TestParseMailbox(t *testing.T) {
	t.Parallel()
	for _, c := range mailboxCases {
		got, err := directory.ParseMailbox(c.in)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q: got %q, %v, want %q", c.in, got, err, c.want)
		}
	}
}

func TestMailboxesOfAPerson(t *testing.T) {
	t.Parallel()
	log := new(buffer)
	got := directory.Mailboxes(slog.New(slog.NewTextHandler(log, nil)),
		[]string{"b@example.test", " a@Example.test ", "nobody"},
		[]string{"smtp:c@example.test", "SMTP:d@example.test", "Smtp:a@example.test", "smtp:", "SIP:x@example.test", "x500:/o=x", "smtp:b@EXAMPLE.TEST"})
	want := []string{"b@example.test", "a@example.test", "d@example.test", "c@example.test"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(log.String(), "nobody") {
		t.Error("what was left out is not in the log")
	}
	var many []string
	for i := range 200 {
		many = append(many, strings.Repeat("a", i%50+1)+strings.Repeat("b", i/50+1)+"@example.test")
	}
	if n := len(directory.Mailboxes(slog.New(slog.DiscardHandler), many, nil)); n != 64 {
		t.Errorf("%d mailboxes", n)
	}
}

func FuzzParseMailbox(f *testing.F) {
	for _, c := range mailboxCases {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		got, err := directory.ParseMailbox(in)
		if err != nil {
			if got != "" {
				t.Errorf("%q: %q comes with a fault", in, got)
			}
			return
		}
		local, domain, _ := strings.Cut(got, "@")
		if !utf8.ValidString(got) || len(got) > 254 || strings.Contains(domain, "@") || !strings.Contains(domain, ".") {
			t.Errorf("%q: got %q", in, got)
		}
		if strings.Trim(domain, "abcdefghijklmnopqrstuvwxyz0123456789.-") != "" {
			t.Errorf("%q: domain %q is not in A-labels", in, domain)
		}
		if !strings.HasPrefix(in, local+"@") {
			t.Errorf("%q: the local part became %q", in, local)
		}
		if again, err := directory.ParseMailbox(got); err != nil || again != got {
			t.Errorf("%q: %q, read again, is %q, %v", in, got, again, err)
		}
	})
}
