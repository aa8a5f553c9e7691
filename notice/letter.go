package notice

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"text/template"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive"
	"github.com/sealpost/sealpost/archive/record"
)

// Limits of what a text quotes, so that nobody's name becomes the text.
const (
	maxName     = 80 // bytes
	maxSubjects = 5  // names of a case's subjects
)

// width is where lines end, in characters.
const width = 72

// nobody stands for a name that is not known any more.
const nobody = "somebody who has left"

// letter is what templates may say. It holds no reason, no reference and nothing secret, so that none can.
type letter struct {
	Name         string // the reader's
	Case         uuid.UUID
	Kind         string // as a noun: "a business case"
	Restore      bool
	Requester    string
	Subjects     string // names; in a silent case how many
	Recipient    string // of the reader's keys, or of those the event is about, or of the case's first delivery
	Mine         string // "1 key", "3 keys": the reader's
	All          string // everybody's
	Opened       string
	Deadline     string
	Asked        string // how many officers are asked to agree at least, in words and figures
	Agreed       int    // how many did
	Agent        string // whose answer it is about
	Approved     bool   // what that answer says
	Released     bool   // whether the reader's keys were given out; for those who have none in the case, whether any were
	State        string
	Organisation string
	Contact      string
}

// letter gathers what is said to somebody about an event.
func (t *Teller) letter(ctx context.Context, k *archive.Case, roster *record.Roster, e event, person uuid.UUID, name string) (*letter, error) {
	l := &letter{Name: short(name), Case: k.ID, Kind: kinds[k.Kind], Restore: k.Kind == record.CaseRestore,
		Requester: short(k.Requester.Name), Opened: moment(k.Opened), Deadline: moment(k.Deadline), State: string(k.State),
		Released: slices.ContainsFunc(k.Collected, given), Organisation: short(t.Organisation), Contact: t.Contact}
	all := 0
	recipient := e.delivery
	for i, d := range k.Deliveries {
		for _, s := range d.Subjects {
			all += len(s.Records)
			if s.Person == person {
				l.Mine, l.Released, recipient = count(len(s.Records)), given(k.Collected[i]), i
			}
		}
	}
	l.All = count(all)
	for _, a := range k.Answers {
		if a.Decision == record.Approve && !a.Disputed {
			l.Agreed++
		}
		if a.Agent == e.agent {
			l.Approved = a.Decision == record.Approve
		}
	}
	l.Asked = "several officers"
	if roster != nil {
		l.Asked = fmt.Sprintf("%d officers", roster.Plan.Threshold)
		if a, ok := roster.Plan.Agent(e.agent); ok {
			l.Agent = short(a.Name)
		}
	}
	if l.Agent == "" {
		l.Agent = fmt.Sprintf("officer %d", e.agent)
	}
	var err error
	if l.Subjects, err = t.subjectNames(ctx, k); err != nil {
		return nil, err
	}
	l.Recipient = nobody
	if to := k.Recipients(); recipient < len(to) {
		l.Recipient, err = t.name(ctx, k, roster, to[recipient])
	}
	return l, err
}

// kinds are the kinds of cases in a sentence: "in …".
var kinds = map[record.CaseKind]string{record.CaseRestore: "a restore case", record.CaseBusiness: "a business case", record.CaseLegal: "a legal case"}

// given reports whether a delivery was collected, by when it was.
func given(at time.Time) bool { return !at.IsZero() }

func (t *Teller) subjectNames(ctx context.Context, k *archive.Case) (string, error) {
	var names []string
	all := subjects(k)
	if t.Now().Before(k.SilentUntil) {
		return map[bool]string{true: "one person", false: fmt.Sprintf("%d people", len(all))}[len(all) == 1], nil
	}
	for _, s := range all[:min(len(all), maxSubjects)] {
		n, err := t.name(ctx, k, nil, s.Person)
		if err != nil {
			return "", err
		}
		names = append(names, n)
	}
	if more := len(all) - len(names); more == 1 {
		names = append(names, "one other person")
	} else if more > 1 {
		names = append(names, fmt.Sprintf("%d other people", more))
	}
	if last := len(names) - 1; last > 0 {
		return strings.Join(names[:last], ", ") + " and " + names[last], nil
	}
	return names[0], nil
}

// name returns how somebody is called.
func (t *Teller) name(ctx context.Context, k *archive.Case, roster *record.Roster, person uuid.UUID) (string, error) {
	a, err := t.addressee(ctx, k, roster, person)
	if err != nil {
		return "", err
	}
	if a.name == "" {
		return nobody, nil
	}
	return short(a.name), nil
}

// short makes one line of limited length of a name.
func short(name string) string {
	name = strings.Join(strings.Fields(record.Line(name, 4*maxName)), " ")
	return record.Line(name, maxName)
}

func moment(t time.Time) string { return t.UTC().Format("2 January 2006, 15:04") + " UTC" }

func count(keys int) string {
	if keys == 1 {
		return "1 key"
	}
	return fmt.Sprintf("%d keys", keys)
}

//go:embed templates/*.txt templates/operators/*.txt templates/tokens/*.txt
var files embed.FS

// frame is the template that all texts stand in.
const frame = "frame"

// letters are the templates, by event and part.
type letters struct {
	subjects map[string]*template.Template
	texts    map[string]*template.Template
}

// readLetters reads the templates. The first line of each is the subject.
func readLetters() (letters, error) {
	l := letters{map[string]*template.Template{}, map[string]*template.Template{}}
	list, err := fs.Glob(files, "templates/*.txt")
	if err != nil {
		return l, err
	}
	for _, path := range list {
		b, err := files.ReadFile(path)
		if err != nil {
			return l, err
		}
		name := strings.TrimSuffix(strings.TrimPrefix(path, "templates/"), ".txt")
		text := string(b)
		if name != frame {
			first, rest, _ := strings.Cut(text, "\n")
			subject, ok := strings.CutPrefix(first, "Subject: ")
			if !ok {
				return l, fmt.Errorf("notice: template %s has no subject", name)
			}
			text = rest
			if l.subjects[name], err = parse(name, subject); err != nil {
				return l, err
			}
		}
		if l.texts[name], err = parse(name, text); err != nil {
			return l, err
		}
	}
	return l, nil
}

func parse(name, text string) (*template.Template, error) {
	return template.New(name).Option("missingkey=error").Parse(text)
}

func (l letters) has(event string, p part) bool { return l.texts[event+"."+string(p)] != nil }

// write returns subject and text of a message.
func (l letters) write(event string, p part, to *letter) (subject, text string, err error) {
	name := event + "." + string(p)
	if !l.has(event, p) {
		return "", "", errors.New("notice: there is no template " + name)
	}
	run := func(t *template.Template, data any) string {
		var b bytes.Buffer
		if e := t.Execute(&b, data); err == nil {
			err = e
		}
		return strings.TrimSpace(b.String())
	}
	subject = run(l.subjects[name], to)
	text = run(l.texts[frame], struct {
		*letter
		Body string
	}{to, run(l.texts[name], to)})
	return subject, wrap(text), err
}

// wrap breaks paragraphs into lines. Lines that begin with a space, commands, stay as they are.
func wrap(text string) string {
	var out strings.Builder
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if strings.HasPrefix(line, " ") {
			out.WriteString(line + "\n")
			continue
		}
		at := 0
		for _, word := range strings.Fields(line) {
			n := utf8.RuneCountInString(word)
			switch {
			case at == 0:
			case at+1+n > width:
				out.WriteByte('\n')
				at = 0
			default:
				out.WriteByte(' ')
				at++
			}
			out.WriteString(word)
			at += n
		}
		out.WriteByte('\n')
	}
	return out.String()
}
