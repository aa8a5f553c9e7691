package foreign

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"
)

// List is what a password list says about files: a table with a line of headings and the columns file and password, and
// maybe person.
type List struct{ rows map[string]Row }

// Row is what it says about one file.
type Row struct {
	Password string
	Person   uuid.UUID // whose keys they are; the zero UUID: whose the certificate's address is
	Departed bool      // the person is in the directory no longer
}

// ParseList reads a list: CSV (RFC 4180) in UTF-8, separated by commas or, as Excel does in many countries, by semicolons. Names
// of files are as in the folder or archive, with slashes. In the column person stands nothing, a person's id, "departed",
// or "departed" and an id with a space between.
func ParseList(data []byte) (*List, error) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > MaxList || !utf8.Valid(data) {
		return nil, ErrList.Withf("The password list is larger than %d bytes, or is not UTF-8.", MaxList)
	}
	r := csv.NewReader(bytes.NewReader(data))
	if head, _, _ := bytes.Cut(data, []byte("\n")); bytes.ContainsRune(head, ';') && !bytes.ContainsRune(head, ',') {
		r.Comma = ';'
	}
	head, err := r.Read()
	for i := range head {
		head[i] = strings.ToLower(strings.TrimSpace(head[i]))
	}
	if err != nil || !slices.Equal(head, []string{"file", "password"}) && !slices.Equal(head, []string{"file", "password", "person"}) {
		return nil, ErrList.Withf("The first line of the password list must be: file,password or file,password,person")
	}
	l := &List{rows: map[string]Row{}}
	for {
		fields, err := r.Read()
		if errors.Is(err, io.EOF) {
			return l, nil
		}
		var where *csv.ParseError
		if errors.As(err, &where) {
			return nil, ErrList.Withf("The password list cannot be read at line %d: %v.", where.Line, where.Err)
		}
		if err != nil {
			return nil, ErrList.Because(err)
		}
		if err := l.add(fields); err != nil {
			line, _ := r.FieldPos(0)
			return nil, ErrList.Withf("The password list, line %d: %v.", line, err)
		}
	}
}

func (l *List) add(fields []string) error {
	name := path.Clean(strings.ReplaceAll(fields[0], "\\", "/"))
	if name == "." {
		return errors.New("it names no file")
	}
	if _, double := l.rows[name]; double {
		return fmt.Errorf("%q is there twice", name)
	}
	row := Row{Password: fields[1]}
	if len(fields) == 3 {
		person := strings.TrimSpace(fields[2])
		rest, departed := strings.CutPrefix(strings.ToLower(person), "departed")
		if row.Departed = departed; departed {
			person = strings.TrimSpace(rest)
		}
		if person != "" {
			id, err := uuid.Parse(person)
			if err != nil || len(person) != 36 || id == uuid.Nil {
				return errors.New("the person is neither an id nor the word departed")
			}
			row.Person = id
		}
	}
	l.rows[name] = row
	return nil
}

// row returns what the list says about a file; false also for a nil list.
func (l *List) row(name string) (Row, bool) {
	if l == nil {
		return Row{}, false
	}
	r, ok := l.rows[name]
	return r, ok
}

// missing returns the files of the list that are not among the given ones, in order.
func (l *List) missing(files []file) (out []string) {
	if l == nil {
		return nil
	}
	have := map[string]bool{}
	for _, f := range files {
		have[f.name] = true
	}
	for name := range l.rows {
		if !have[name] {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}
