package web_test

import (
	"context"
	"errors"
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
