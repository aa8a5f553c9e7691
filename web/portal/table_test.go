package portal

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/sealpost/sealpost/internal/fault"
)

// numbers is a list of the numbers below n that have the filter in them.
func numbers(n int) list {
	return list{Name: "numbers", Filter: "table.apply", Empty: "home.title", Columns: []column{{Key: "number", Title: "card.serial", Sort: true}, {Key: "at", Title: "card.until"}},
		Choices: []choice{{Key: "kind", Title: "card.issuer", Options: []option{{"", "state.good"}, {"odd", "state.ended"}}}},
		Page: func(_ context.Context, a asked) (rows [][]cell, next string, err error) {
			for i := range n {
				text := fmt.Sprint(i)
				if a.Descending {
					text = fmt.Sprint(n - 1 - i)
				}
				if !strings.Contains(text, a.Filter) || a.Choices["kind"] == "odd" && i%2 == 0 {
					continue
				}
				if a.After != "" && len(text) <= len(a.After) && text <= a.After {
					continue
				}
				if len(rows) == a.Limit {
					return rows, rows[len(rows)-1][0].Text, nil
				}
				rows = append(rows, []cell{{Text: text, Pill: "good"}, {At: time.Unix(int64(i), 0)}})
			}
			return rows, "", nil
		}}
}

func tablePortal(t *testing.T) *Portal {
	t.Helper()
	p := &Portal{Config: Config{Now: time.Now, Log: slog.New(slog.DiscardHandler)}, looks: map[language]*look{}}
	a, err := readAssets()
	if err != nil {
		t.Fatal(err)
	}
	p.assets = a
	return p
}

func TestTableKeepsItsStateInTheAddress(t *testing.T) {
	t.Parallel()
	p := tablePortal(t)
	got, err := p.table(httptest.NewRequest(http.MethodGet, "/n?q=1&sort=-number&kind=odd&after=3&x=y&kind=none", nil), numbers(1000))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Rows) != pageRows || got.Next == "" || !got.Narrowed {
		t.Errorf("%d rows, next %q, narrowed %t", len(got.Rows), got.Next, got.Narrowed)
	}
	for what, c := range map[string][2]string{
		"first": {got.First, "/n?kind=odd&q=1&sort=-number"}, "csv": {got.Exports[0].Address, "/n?format=csv&kind=odd&q=1&sort=-number"},
		"order": {got.Headings[0].To, "/n?kind=odd&q=1&sort=number"}, "sorted": {got.Headings[0].Sorted, "descending"}, "not sorted": {got.Headings[1].To, ""},
	} {
		if c[0] != c[1] {
			t.Errorf("%s: %q, want %q", what, c[0], c[1])
		}
	}
	// What is no column, no option and too long asks for nothing.
	a := numbers(1).ask(httptest.NewRequest(http.MethodGet, "/n?sort=at&kind=x&q="+strings.Repeat("%C3%A4", 150)+"&format=xml", nil).URL.Query())
	if a.Sort != "" || a.Choices["kind"] != "" || len(a.Filter) > maxFilter || strings.ToValidUTF8(a.Filter, "?") != a.Filter {
		t.Errorf("%+v", a)
	}
}

func TestExports(t *testing.T) {
	t.Parallel()
	p := tablePortal(t)
	ask := func(query string, l list) (*httptest.ResponseRecorder, error) {
		w := httptest.NewRecorder()
		answered, err := p.export(w, httptest.NewRequest(http.MethodGet, "/n?"+query, nil), l)
		if !answered {
			t.Fatalf("%s was not answered", query)
		}
		return w, err
	}
	evil := list{Name: "evil", Columns: []column{{Key: "who"}}, Page: func(context.Context, asked) ([][]cell, string, error) {
		return [][]cell{{{Text: "=cmd|' /C calc'!A0"}}, {{Text: "a,\"b\"\r\nc"}}, {{Text: "<script>"}}}, "", nil
	}}
	w, err := ask("format=csv", evil)
	rows, csvErr := csv.NewReader(w.Body).ReadAll()
	if err != nil || csvErr != nil || len(rows) != 4 || rows[1][0] != "'=cmd|' /C calc'!A0" || rows[2][0] != "a,\"b\"\nc" || !strings.HasPrefix(w.Header().Get("Content-Disposition"), `attachment; filename="evil-20`) {
		t.Errorf("%v %v %q %v", err, csvErr, rows, w.Header())
	}
	w, err = ask("format=json&q=7", numbers(1200))
	var all []map[string]string
	if err != nil || json.Unmarshal(w.Body.Bytes(), &all) != nil || len(all) == 0 || all[0]["number"] != "7" || all[0]["at"] != "1970-01-01T00:00:07Z" {
		t.Errorf("%v %v", err, all)
	}
	if _, err := ask("format=csv", list{Page: func(_ context.Context, a asked) ([][]cell, string, error) {
		return make([][]cell, a.Limit), "more", nil
	}}); !errors.Is(err, ErrExport) {
		t.Errorf("one without an end: %v", err)
	}
	if _, err := ask("format=csv", list{Page: func(context.Context, asked) ([][]cell, string, error) { return nil, "", ErrForm }}); fault.Of(err) == nil {
		t.Errorf("one that fails: %v", err)
	}
	if answered, _ := p.export(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/n?format=xml", nil), evil); answered {
		t.Error("an unknown format is answered")
	}
}

// A table as a page shows it: what people typed and what rooms say is text, never a tag.
func TestTableIsText(t *testing.T) {
	t.Parallel()
	p := tablePortal(t)
	look, err := newLook(english, p.assets)
	if err != nil {
		t.Fatal(err)
	}
	evil := `"><script>alert(1)</script>`
	l := numbers(3)
	l.Page = func(context.Context, asked) ([][]cell, string, error) {
		return [][]cell{{{Text: evil, To: "javascript:alert(1)", Note: evil}, {At: time.Unix(0, 0)}}}, evil, nil
	}
	r := httptest.NewRequest(http.MethodGet, "/n", nil)
	q := r.URL.Query()
	q.Set("q", evil)
	q.Set("after", evil)
	r.URL.RawQuery = q.Encode()
	shown, err := p.table(r, l)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := look.all.ExecuteTemplate(&out, "table", shown); err != nil {
		t.Fatal(err)
	}
	if s := out.String(); strings.Contains(s, "<script") || strings.Contains(s, `href="javascript`) || !strings.Contains(s, "&lt;script&gt;") {
		t.Error(s)
	}
}
