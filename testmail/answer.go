package testmail

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime"
	"mime/quotedprintable"
	"net/mail"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of what is read of a mail. They bound work for mails that strangers make.
const (
	maxTokens  = 10
	maxLayers  = 6  // of MIME and CMS in each other
	maxParts   = 20 // of one multipart
	maxSteps   = 60 // entities that are looked at in all
	maxLine    = 100
	maxAddress = 254
)

// head is what a mail's header tells before anybody reads the mail.
type head struct {
	tokens    []string // words of tests that it may answer
	automatic string   // "automatic" or "bounced" if a machine wrote it; "" if not
	from      string   // the one sender's address; "" if there is none, or several
	program   string   // that it was written with
}

var (
	tokenInID      = regexp.MustCompile(`(?i)<([a-z2-7]{20})\.test@`)
	tokenInSubject = regexp.MustCompile(`(?i)\[([a-z2-7]{20})\]`)
)

// readHead reads a mail's header as far as it can be read.
func readHead(raw []byte) head {
	h := parseHeader(raw)
	var out head
	add := func(pattern *regexp.Regexp, values ...string) {
		for _, v := range values {
			for _, m := range pattern.FindAllStringSubmatch(v, maxTokens) {
				if t := strings.ToLower(m[1]); len(out.tokens) < maxTokens && !slices.Contains(out.tokens, t) {
					out.tokens = append(out.tokens, t)
				}
			}
		}
	}
	add(tokenInID, h.Values("In-Reply-To")...)
	add(tokenInID, h.Values("References")...)
	for _, s := range h.Values("Subject") {
		add(tokenInSubject, s, decodeWords(s))
	}
	out.automatic = automatic(h)
	if from := h.Values("From"); len(from) == 1 {
		if list, err := mail.ParseAddressList(from[0]); err == nil && len(list) == 1 {
			out.from = line(list[0].Address, maxAddress)
		}
	}
	for _, name := range []string{"User-Agent", "X-Mailer"} {
		if v := h.Get(name); v != "" && out.program == "" {
			out.program = line(decodeWords(v), maxLine)
		}
	}
	return out
}

// automatic tells machines' answers from people's (RFC 3834 §5, RFC 3464).
func automatic(h textproto.MIMEHeader) string {
	media, params, err := mime.ParseMediaType(h.Get("Content-Type"))
	if err == nil && media == "multipart/report" && strings.EqualFold(params["report-type"], "delivery-status") {
		return "bounced"
	}
	submitted := strings.ToLower(strings.TrimSpace(h.Get("Auto-Submitted")))
	kind, _, _ := strings.Cut(submitted, ";")
	precedence := strings.ToLower(strings.TrimSpace(h.Get("Precedence")))
	switch {
	case submitted != "" && strings.TrimSpace(kind) != "no",
		h.Get("X-Autoreply") != "", h.Get("X-Autorespond") != "", h.Get("List-Id") != "",
		slices.Contains([]string{"bulk", "junk", "list", "auto_reply"}, precedence),
		err == nil && media == "multipart/report",
		strings.TrimSpace(h.Get("Return-Path")) == "<>":
		return "automatic"
	}
	return ""
}

// parseHeader reads header lines, those that are none left out.
func parseHeader(raw []byte) textproto.MIMEHeader {
	top, _ := split(raw)
	out := textproto.MIMEHeader{}
	var name string
	var value strings.Builder
	keep := func() {
		if name != "" {
			out.Add(name, strings.TrimSpace(value.String()))
		}
		name = ""
		value.Reset()
	}
	for text := range bytes.Lines(top) {
		text = bytes.TrimRight(text, "\r\n")
		if len(text) > 0 && (text[0] == ' ' || text[0] == '\t') {
			value.WriteByte(' ')
			value.Write(bytes.TrimSpace(text))
			continue
		}
		keep()
		n, v, ok := bytes.Cut(text, []byte(":"))
		n = bytes.TrimRight(n, " \t")
		if !ok || len(n) == 0 || len(n) > maxLine || bytes.ContainsFunc(n, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
			continue
		}
		name = textproto.CanonicalMIMEHeaderKey(string(n))
		value.Write(v)
	}
	keep()
	return out
}

// split parts an entity into header and body, at the first empty line.
func split(raw []byte) (header, body []byte) {
	rest := raw
	for len(rest) > 0 {
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return raw, nil
		}
		if len(bytes.TrimRight(rest[:end], "\r")) == 0 {
			return raw[:len(raw)-len(rest)], rest[end+1:]
		}
		rest = rest[end+1:]
	}
	return raw, nil
}

// entity is one of MIME: a mail, or a part of one.
type entity struct {
	header textproto.MIMEHeader
	media  string // in lower case; "" if it cannot be read
	params map[string]string
	body   []byte // as it came
}

func parseEntity(raw []byte) entity {
	_, body := split(raw)
	e := entity{header: parseHeader(raw[:min(len(raw), maxHead)]), body: body}
	kind := e.header.Get("Content-Type")
	if kind == "" {
		kind = "text/plain"
	}
	media, params, err := mime.ParseMediaType(kind)
	if err == nil || media != "" { // a faulty parameter leaves the type
		e.media, e.params = strings.ToLower(media), params
	}
	return e
}

// name is the file's, in lower case.
func (e entity) name() string {
	if n := e.params["name"]; n != "" {
		return strings.ToLower(n)
	}
	_, params, err := mime.ParseMediaType(e.header.Get("Content-Disposition"))
	if err != nil {
		return ""
	}
	return strings.ToLower(params["filename"])
}

// decoded is the body without its transfer encoding, as far as it can be decoded. It is no longer than the body.
func (e entity) decoded() []byte {
	switch strings.ToLower(strings.TrimSpace(e.header.Get("Content-Transfer-Encoding"))) {
	case "base64":
		clean := bytes.Map(func(r rune) rune {
			if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '+' || r == '/') {
				return r
			}
			return -1
		}, e.body)
		out := make([]byte, base64.RawStdEncoding.DecodedLen(len(clean)))
		n, _ := base64.RawStdEncoding.Decode(out, clean)
		return out[:n]
	case "quoted-printable":
		out, _ := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(e.body)))
		return out
	}
	return e.body
}

// parts are those of a multipart, as they came: what a signature covers is the bytes.
func (e entity) parts() [][]byte {
	boundary := e.params["boundary"]
	if boundary == "" || len(boundary) > maxLine {
		return nil
	}
	var out [][]byte
	begin, at := -1, 0
	for text := range bytes.Lines(e.body) {
		rest, ok := bytes.CutPrefix(bytes.TrimRight(text, " \t\r\n"), []byte("--"+boundary))
		last := string(rest) == "--"
		if ok && (last || len(rest) == 0) {
			if begin >= 0 {
				out = append(out, withoutLineEnd(e.body[begin:max(begin, at)]))
			}
			if last || len(out) == maxParts {
				return out
			}
			begin = at + len(text)
		}
		at += len(text)
	}
	if begin >= 0 { // its end is missing
		out = append(out, e.body[min(begin, len(e.body)):])
	}
	return out
}

// withoutLineEnd takes away the line end before a boundary, which belongs to that.
func withoutLineEnd(b []byte) []byte {
	b, _ = bytes.CutSuffix(b, []byte("\n"))
	b, _ = bytes.CutSuffix(b, []byte("\r"))
	return b
}

// canonical has each line end with CR LF, as text is signed (RFC 8551 §3.1.1).
func canonical(b []byte) []byte {
	if !bytes.Contains(b, []byte("\n")) || bytes.Count(b, []byte("\n")) == bytes.Count(b, []byte("\r\n")) {
		return b
	}
	return bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
}

func decodeWords(s string) string {
	out, err := new(mime.WordDecoder).DecodeHeader(s)
	if err != nil {
		return s
	}
	return out
}

// line is one line of what somebody wrote, at most so many bytes long, with nothing in it that is invisible or reorders text.
func line(s string, most int) string {
	s = strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, ""))), " ")
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}
