package crl

import (
	"slices"
	"strings"

	zx509 "github.com/zmap/zcrypto/x509"
	_ "github.com/zmap/zlint/v3" // registers the lints
	"github.com/zmap/zlint/v3/lint"

	"github.com/sealpost/sealpost/crl/list"
)

// linter has the rules of RFC 5280 for revocation lists.
type linter struct {
	rules []*lint.RevocationListLint
	none  lint.Configuration
}

func newLinter() (*linter, error) {
	r, err := lint.GlobalRegistry().Filter(lint.FilterOptions{IncludeSources: lint.SourceList{lint.RFC5280}})
	if err != nil {
		return nil, err
	}
	return &linter{slices.Clone(r.RevocationListLints().Lints()), r.GetConfiguration()}, nil
}

// lintAtOnce is how many entries are linted in one list: the linter needs a hundred times the memory of the list.
const lintAtOnce = 10_000

// check returns ErrWrong, naming each rule that a list would break. It is asked before anything is signed, so the list that it
// looks at bears a signature of zeros; and it has only the entries that are new, because the others were looked at when they
// were.
func (l *linter) check(t *list.Template, news []list.Change) error {
	for first := true; first || len(news) > 0; first = false {
		n := min(lintAtOnce, len(news))
		if err := l.some(t, news[:n]); err != nil {
			return err
		}
		news = news[n:]
	}
	return nil
}

func (l *linter) some(t *list.Template, news []list.Change) error {
	entries, _, err := list.Delta(news)
	if err != nil {
		return err
	}
	unsigned, err := t.Sign([][]byte{entries}, func(...[]byte) ([]byte, error) { return make([]byte, 64), nil })
	if err != nil {
		return err
	}
	parsed, err := zx509.ParseRevocationList(unsigned.Bytes())
	if err != nil {
		return ErrWrong.Because(err)
	}
	var broken []string
	for _, one := range l.rules {
		if r := one.Execute(parsed, l.none); r.Status >= lint.Warn {
			broken = append(broken, one.Name)
		}
	}
	if len(broken) > 0 {
		return ErrWrong.Withf("The revocation list %d would break these rules: %s.", t.Number, strings.Join(broken, ", "))
	}
	return nil
}
