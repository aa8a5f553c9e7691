package portal

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// list is what a table shows: something of a room of which there may be much. The room pages, filters and orders; what was
// asked stands in the page's address.
type list struct {
	Name    string // of the table, in the address of an export: "certificates"
	Columns []column
	Choices []choice
	Blanks  []blank
	Filter  string // what the filter box is for, a text's key; "" if there is none
	Empty   string // a text's key: what to do where there is nothing yet

	// Page returns rows from where the page before ended, with a cell for each column, and where the next one begins: "" if
	// there is none.
	Page func(ctx context.Context, a asked) (rows [][]cell, next string, err error)
}

// column is one of a list's.
type column struct {
	Key   string // in addresses and exports
	Title string // a text's key
	Sort  bool   // the list can be ordered by it
	Away  bool   // it is in what is taken along alone, not on the page
}

// cell is what a row has in a column.
type cell struct {
	Text string
	At   time.Time // shown as a time, if it is set
	Fine bool      // At is shown to the second
	Pill string    // good, warn, bad or off: Text is how something stands
	Code bool      // Text is a number of machines
	To   string    // where a click leads
	Note string    // said beneath
}

// choice narrows a list down to what has one of several values.
type choice struct {
	Key, Title string // in addresses; a text's key
	Options    []option
}

// option is one value of a choice. The first of a choice has the value "": it limits nothing, or is what is usual.
type option struct{ Value, Title string }

// blank is a field in which somebody says what they look for, beside the filter.
type blank struct{ Key, Title, Type string } // in addresses; a text's key; text or date

// asked is what somebody asked of a list.
type asked struct {
	Filter     string
	Sort       string // a column's key; "" for the list's own order
	Descending bool
	Choices    map[string]string // what was chosen, by the choice's key
	Blanks     map[string]string // what was filled in, by the blank's key; dates as 2006-01-02
	After      string            // where the page begins
	Limit      int
}

const (
	pageRows   = 50
	exportRows = 50_000
	maxFilter  = 200
)

// ErrExport says that an export would be too long.
var ErrExport = fault.New(fault.Malformed, "export-too-long", "That is more than one file can hold here. Narrow it down with the filter and take it in parts.")

// ask reads what somebody asks of a list. What is not known asks for nothing.
func (l list) ask(q url.Values) asked {
	a := asked{After: q.Get("after"), Limit: pageRows, Choices: map[string]string{}, Blanks: map[string]string{}}
	if l.Filter != "" {
		a.Filter = typed(q.Get("q"))
	}
	for _, b := range l.Blanks {
		a.Blanks[b.Key] = typed(q.Get(b.Key))
		if _, err := time.Parse(time.DateOnly, a.Blanks[b.Key]); b.Type == "date" && err != nil {
			a.Blanks[b.Key] = ""
		}
	}
	key, down := strings.CutPrefix(q.Get("sort"), "-")
	if slices.ContainsFunc(l.Columns, func(c column) bool { return c.Sort && c.Key == key }) {
		a.Sort, a.Descending = key, down
	}
	for _, c := range l.Choices {
		a.Choices[c.Key] = ""
		if v := q.Get(c.Key); slices.ContainsFunc(c.Options, func(o option) bool { return o.Value == v }) {
			a.Choices[c.Key] = v
		}
	}
	return a
}

// typed is what somebody typed, as far as it is read.
func typed(s string) string {
	s = strings.TrimSpace(s)
	return strings.ToValidUTF8(s[:min(len(s), maxFilter)], "")
}

// address is how a page's address says what is asked; its other parameters stay.
func (l list) address(path string, a asked, set ...field) string {
	q := url.Values{}
	put := func(name, value string) {
		q.Del(name)
		if value != "" {
			q.Set(name, value)
		}
	}
	put("q", a.Filter)
	for key, value := range a.Choices {
		put(key, value)
	}
	for key, value := range a.Blanks {
		put(key, value)
	}
	if a.Sort != "" {
		put("sort", map[bool]string{true: "-"}[a.Descending]+a.Sort)
	}
	for _, f := range set {
		put(f.Name, f.Value)
	}
	if len(q) == 0 {
		return path
	}
	return path + "?" + q.Encode()
}

// table is a list as a page shows it.
type table struct {
	List     list
	Asked    asked
	Path     string
	Headings []heading
	Rows     [][]cell
	Keep     []field // what the filter's form must not forget
	Next     string  // addresses; "" if there is nothing there
	First    string
	Exports  []export
	Narrowed bool // something is left out
}

// export is one way to take a list along.
type export struct{ Format, Address string }

// heading is a column's.
type heading struct {
	column
	Sorted string // ascending, descending or "" (aria-sort)
	To     string // the address at which it is ordered by this column
}

// table asks a list for the page that the address names.
func (p *Portal) table(r *http.Request, l list) (*table, error) {
	a, path := l.ask(r.URL.Query()), r.URL.Path
	t := &table{List: l, Asked: a, Path: path, Narrowed: a.Filter != ""}
	var err error
	var next string
	if t.Rows, next, err = l.Page(r.Context(), a); err != nil {
		return nil, err
	}
	t.Rows = l.shown(t.Rows)
	for _, c := range l.Columns {
		if c.Away {
			continue
		}
		h := heading{column: c}
		if c.Sort {
			order := c.Key
			if a.Sort == c.Key {
				h.Sorted = map[bool]string{false: "ascending", true: "descending"}[a.Descending]
				order = map[bool]string{false: "-"}[a.Descending] + order
			}
			h.To = l.address(path, a, field{"sort", order})
		}
		t.Headings = append(t.Headings, h)
	}
	for _, c := range l.Choices {
		t.Narrowed = t.Narrowed || a.Choices[c.Key] != ""
	}
	for _, b := range l.Blanks {
		t.Narrowed = t.Narrowed || a.Blanks[b.Key] != ""
	}
	if sort := r.URL.Query().Get("sort"); a.Sort != "" {
		t.Keep = append(t.Keep, field{"sort", sort})
	}
	if next != "" {
		t.Next = l.address(path, a, field{"after", next})
	}
	if a.After != "" {
		t.First = l.address(path, a)
	}
	for _, format := range []string{"csv", "json"} {
		t.Exports = append(t.Exports, export{strings.ToUpper(format), l.address(path, a, field{"format", format})})
	}
	return t, nil
}

// shown is rows without what is taken along alone.
func (l list) shown(rows [][]cell) [][]cell {
	if !slices.ContainsFunc(l.Columns, func(c column) bool { return c.Away }) {
		return rows
	}
	out := make([][]cell, len(rows))
	for i, row := range rows {
		for j, c := range row {
			if !l.Columns[j].Away {
				out[i] = append(out[i], c)
			}
		}
	}
	return out
}

// export answers with the whole of a list as CSV or JSON, if the address asks for that.
func (p *Portal) export(w http.ResponseWriter, r *http.Request, l list) (bool, error) {
	format := r.URL.Query().Get("format")
	write := map[string]func([]column, [][]cell) ([]byte, error){"csv": asCSV, "json": asJSON}[format]
	if write == nil {
		return false, nil
	}
	a := l.ask(r.URL.Query())
	a.Limit, a.After = 500, ""
	var all [][]cell
	for {
		rows, next, err := l.Page(r.Context(), a)
		if err != nil {
			return true, err
		}
		if all = append(all, rows...); len(all) > exportRows {
			return true, ErrExport
		}
		if next == "" {
			break
		}
		a.After = next
	}
	out, err := write(l.Columns, all)
	if err != nil {
		return true, err
	}
	h := w.Header()
	h.Set("Content-Type", map[string]string{"csv": "text/csv; charset=utf-8; header=present", "json": "application/json"}[format])
	h.Set("Content-Disposition", `attachment; filename="`+l.Name+"-"+p.Now().UTC().Format(time.DateOnly)+"."+format+`"`)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", strconv.Itoa(len(out)))
	_, _ = w.Write(out) // a browser that went away needs no answer
	return true, nil
}

// value is a cell as programs read it.
func (c cell) value() string {
	if !c.At.IsZero() {
		return c.At.UTC().Format(time.RFC3339)
	}
	return c.Text
}

// asCSV writes rows as RFC 4180 has it. What a spreadsheet would take for a formula begins with an apostrophe.
func asCSV(columns []column, rows [][]cell) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	head := make([]string, len(columns))
	for i, c := range columns {
		head[i] = c.Key
	}
	if err := w.Write(head); err != nil {
		return nil, err
	}
	for _, row := range rows {
		line := make([]string, len(row))
		for i, c := range row {
			if line[i] = c.value(); line[i] != "" && strings.ContainsRune("=+-@\t\r", rune(line[i][0])) {
				line[i] = "'" + line[i]
			}
		}
		if err := w.Write(line); err != nil {
			return nil, err
		}
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

// asJSON writes rows as an array of objects, their members named by the columns.
func asJSON(columns []column, rows [][]cell) ([]byte, error) {
	all := make([]map[string]string, len(rows))
	for i, row := range rows {
		all[i] = map[string]string{}
		for j, c := range row {
			all[i][columns[j].Key] = c.value()
		}
	}
	return json.MarshalIndent(all, "", "  ")
}

// searched is a list as somebody asked for it; or without rows, and what of the question cannot be understood.
type searched struct {
	Table *table
	Fault string

	status int
}

// search answers a question for a list. failed says what of it cannot be understood. It reports whether the list was exported: then all is answered.
func (p *Portal) search(w http.ResponseWriter, r *http.Request, v *visit, l list, failed error) (out searched, done bool, err error) {
	out.status = http.StatusOK
	if failed != nil {
		said, code, ok := p.refusal(r, v, failed)
		if !ok {
			return out, false, failed
		}
		out.Fault, out.status = said, code
		l.Page = func(context.Context, asked) ([][]cell, string, error) { return nil, "", nil }
	} else if done, err := p.export(w, r, l); done || err != nil {
		return out, done, err
	}
	out.Table, err = p.table(r, l)
	return out, false, err
}
