package portal

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/sealpost/sealpost/ca"
	"github.com/sealpost/sealpost/internal/audit"
)

// chart is a picture of numbers over time as bars, and the same as a table.
type chart struct {
	Name   string // in ids
	Title  string // texts' keys
	Text   string
	Series []string // titles of each: one or two
	Days   string   // heading of the table's first column
	Rows   []chartRow
	Bars   []bar
	Most   string
	Empty  bool
}

// chartRow is one span's numbers.
type chartRow struct {
	At     time.Time
	Values []string
}

// bar is a rectangle in the picture.
type bar struct {
	X, Y, Width, Height int
	Kind                string // one or two: its series
	Says                string
}

// Sizes of a chart's picture, in its own units.
const (
	chartWidth  = 720
	chartHeight = 160
)

// newChart draws numbers, one row for each span of time and one number for each series.
func newChart(name string, l language, series []string, at []time.Time, numbers ...[]int64) chart {
	c := chart{Name: name, Title: "stand.chart." + name, Text: "stand.chart." + name + "-text", Series: series, Days: "stand.chart.from"}
	var most int64
	for _, n := range numbers {
		for _, v := range n {
			most = max(most, v)
		}
	}
	c.Empty, c.Most = most == 0, strconv.FormatInt(most, 10)
	step := chartWidth / max(len(at), 1)
	width := max((step-2)/len(numbers), 1)
	for i, t := range at {
		row := chartRow{At: t}
		for s, n := range numbers {
			row.Values = append(row.Values, strconv.FormatInt(n[i], 10))
			if n[i] <= 0 {
				continue
			}
			h := max(int(n[i]*int64(chartHeight)/max(most, 1)), 2)
			c.Bars = append(c.Bars, bar{X: i*step + s*width, Y: chartHeight - h, Width: width, Height: h, Kind: []string{"one", "two"}[s],
				Says: l.date(t) + ": " + l.say(series[s]) + " " + strconv.FormatInt(n[i], 10)})
		}
		c.Rows = append(c.Rows, row)
	}
	return c
}

// countedOnce remembers numbers that take a moment to count.
type countedOnce struct {
	mu sync.Mutex
	at time.Time
	counted
}

// counted are numbers of certificates over time, and of revocation lists.
type counted struct {
	days, weeks             []time.Time
	issued, revoked, ending []int64
	lists                   []time.Time
	entries, size           []int64
}

// countLasts is how old numbers in charts may be.
const countLasts = 5 * time.Minute

// Spans of charts.
const (
	chartDays  = 30
	chartWeeks = 26
	chartLists = 60
)

// count returns the numbers of charts, and when they were counted. Those who ask at the same time share them.
func (p *Portal) count(ctx context.Context) (counted, time.Time, error) {
	p.counted.mu.Lock()
	defer p.counted.mu.Unlock()
	now := p.Now().UTC()
	if age := now.Sub(p.counted.at); !p.counted.at.IsZero() && age >= 0 && age < countLasts {
		return p.counted.counted, p.counted.at, nil
	}
	ctx = context.WithoutCancel(ctx)
	today := now.Truncate(24 * time.Hour)
	var c counted
	for i := range chartDays + 1 {
		c.days = append(c.days, today.AddDate(0, 0, i-chartDays+1))
	}
	monday := today.AddDate(0, 0, -(int(today.Weekday())+6)%7)
	for i := range chartWeeks + 1 {
		c.weeks = append(c.weeks, monday.AddDate(0, 0, 7*i))
	}
	var err error
	if c.issued, err = p.Authority.Count(ctx, ca.CountIssued, c.days); err != nil {
		return c, now, err
	}
	if c.revoked, err = p.Authority.Count(ctx, ca.CountRevoked, c.days); err != nil {
		return c, now, err
	}
	if c.ending, err = p.Authority.Count(ctx, ca.CountEnding, c.weeks); err != nil {
		return c, now, err
	}
	if err := p.countLists(ctx, &c); err != nil {
		return c, now, err
	}
	p.counted.counted, p.counted.at = c, now
	return c, now, nil
}

// countLists adds how large the first issuer's lists were.
func (p *Portal) countLists(ctx context.Context, c *counted) error {
	issuers := p.Authority.Issuers()
	if p.Standing.Made == nil || len(issuers) == 0 {
		return nil
	}
	made, err := p.Standing.Made(ctx, audit.System("portal"), issuers[0].ID(), chartLists)
	for i := len(made) - 1; i >= 0; i-- {
		c.lists, c.entries, c.size = append(c.lists, made[i].ThisUpdate), append(c.entries, int64(made[i].Entries)), append(c.size, made[i].Size)
	}
	return err
}

// charts draws what is counted.
func (p *Portal) charts(ctx context.Context, l language) ([]chart, time.Time, error) {
	c, at, err := p.count(ctx)
	if err != nil {
		return nil, at, err
	}
	out := []chart{
		newChart("wave", l, []string{"stand.chart.ending"}, c.weeks[:chartWeeks], c.ending),
		newChart("issued", l, []string{"stand.chart.issued-bar", "stand.chart.revoked-bar"}, c.days[:chartDays], c.issued, c.revoked),
	}
	if len(c.lists) > 0 {
		out = append(out, newChart("entries", l, []string{"stand.chart.entries-bar"}, c.lists, c.entries), newChart("size", l, []string{"stand.chart.size-bar"}, c.lists, c.size))
	}
	return out, at, nil
}
