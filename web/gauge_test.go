package web_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/sealpost/sealpost/web"
)

// Numbers of other rooms are read at each scrape; one that cannot be read is left out, and the others are told.
func TestGauges(t *testing.T) {
	asked := 0.0
	gauge := func(name, which string, read func(context.Context) (float64, error)) web.Gauge {
		return web.Gauge{Name: name, Help: "For tests.", Labels: map[string]string{"which": which}, Read: read}
	}
	r := setup(t, func(c *web.Config) {
		c.Gauges = []web.Gauge{
			gauge("sealpost_test_number", "first", func(context.Context) (float64, error) { asked++; return asked, nil }),
			gauge("sealpost_test_number", "second", func(context.Context) (float64, error) { return 7, nil }),
			{Name: "sealpost_test_total", Help: "For tests.", Counts: true, Read: func(context.Context) (float64, error) { return 3, nil }},
			gauge("sealpost_test_broken", "first", func(context.Context) (float64, error) { return 0, errors.New("no such number") }),
		}
	})
	var said string
	for range 2 {
		said = string(r.ask(t, as{}, "GET", r.Meters+"/metrics", nil).body)
	}
	for _, want := range []string{`sealpost_test_number{which="first"} 2`, `sealpost_test_number{which="second"} 7`, "# TYPE sealpost_test_number gauge", "# TYPE sealpost_test_total counter\nsealpost_test_total 3", "go_goroutines"} {
		if !strings.Contains(said, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(said, "sealpost_test_broken") {
		t.Errorf("a number that cannot be read is told:\n%s", said)
	}
	if log := r.Log.String(); !strings.Contains(log, "no such number") {
		t.Error("the log does not say why a number is missing")
	}
}

// Rows of a table come and go between two scrapes; a number that is not known is left out.
func TestTables(t *testing.T) {
	var rows []web.Row
	var failed error
	r := setup(t, func(c *web.Config) {
		c.Tables = []web.Table{{Labels: []string{"point"}, Columns: []web.Column{{Name: "sealpost_test_left", Help: "For tests."}, {Name: "sealpost_test_size", Help: "For tests."}},
			Read: func(context.Context) ([]web.Row, error) { return rows, failed }}}
	})
	scrape := func() string {
		return string(r.ask(t, as{}, "GET", r.Meters+"/metrics", nil).body)
	}
	rows = []web.Row{{Labels: []string{"ftp"}, Numbers: []float64{-3, 5}}, {Labels: []string{"ldap"}, Numbers: []float64{math.NaN(), 7}}}
	said := scrape()
	for _, want := range []string{`sealpost_test_left{point="ftp"} -3`, `sealpost_test_size{point="ftp"} 5`, `sealpost_test_size{point="ldap"} 7`} {
		if !strings.Contains(said, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if strings.Contains(said, `left{point="ldap"}`) {
		t.Error("a number that is not known is told")
	}
	rows = rows[:1]
	if said := scrape(); strings.Contains(said, "ldap") || !strings.Contains(said, "ftp") {
		t.Error("a row that is gone is told")
	}
	failed = errors.New("no such table")
	if said := scrape(); strings.Contains(said, "sealpost_test") || !strings.Contains(said, "go_goroutines") || !strings.Contains(r.Log.String(), "no such table") {
		t.Error("a table that cannot be read")
	}
}
