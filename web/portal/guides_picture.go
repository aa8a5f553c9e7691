package portal

import (
	"strings"
)

// A picture in a guide is a sketch of a window, made of a few parts that lie one below the other. What it says are keys of texts. It has
// no colours of its own: classes of portal.css give it those of the page, in light and dark.
type picture struct {
	title string // of the window
	phone bool   // a narrow one
	parts []picPart
}

// picPart is a piece of a picture.
type picPart struct {
	kind  string // "path", "row", "field", "secret", "buttons", "toggle", "tick", "tabs", "mail", "file"
	words []string
	hot   string // which of the words one has to find; "" for none
	on    bool
	signs []string // of a mail: "seal", "lock"
}

// Parts. The marked word is the one to find.
func picWay(words ...string) picPart { // from menu to menu; the last is where one wants to be
	return picPart{kind: "path", words: words, hot: words[len(words)-1]}
}
func picRow(word string) picPart { return picPart{kind: "row", words: []string{word}} }
func picField(word, value string) picPart {
	return picPart{kind: "field", words: []string{word, value}}
}
func picSecret(word string) picPart      { return picPart{kind: "secret", words: []string{word}, hot: word} }
func picButtons(words ...string) picPart { return picPart{kind: "buttons", words: words} }
func picTabs(words ...string) picPart    { return picPart{kind: "tabs", words: words} }
func picToggle(word string) picPart      { return picPart{kind: "toggle", words: []string{word}, on: true} }
func picTick(word string) picPart        { return picPart{kind: "tick", words: []string{word}, on: true} }
func picFile() picPart                   { return picPart{kind: "file", words: []string{"pic.file"}, hot: "pic.file"} }
func picProfile() picPart {
	return picPart{kind: "file", words: []string{"pic.profile"}, hot: "pic.profile"}
}
func picMail(signs ...string) picPart {
	return picPart{kind: "mail", words: []string{"pic.from", "pic.subject"}, signs: signs}
}
func (p picPart) mark(word string) picPart { p.hot = word; return p }
func (p picPart) marked() picPart          { return p.mark(p.words[0]) }

// shape is what a picture is drawn with in the end: a rectangle, a line of text, or an outline.
type shape struct {
	Kind       string // "rect", "text", "path"
	Class      string
	X, Y, W, H int
	Text       string // of a text; of an outline, what SVG calls its path
}

// drawing is a picture in one language.
type drawing struct {
	Width, Height int
	Title         string // for who cannot see it
	Shapes        []shape
}

const (
	picMargin  = 16 // within a window
	picLine    = 20 // from one line of text to the next
	picBetween = 10 // from part to part
	picLetter  = 8  // a picLetter's width, generously
)

// pen draws parts from the top to the bottom.
type pen struct {
	say    func(string, ...any) string
	width  int
	y      int
	shapes []shape
	hot    []string
}

func (d *pen) rect(class string, x, y, w, h int) {
	d.shapes = append(d.shapes, shape{Kind: "rect", Class: class, X: x, Y: y, W: w, H: h})
}

func (d *pen) text(class string, x, y int, text string) {
	d.shapes = append(d.shapes, shape{Kind: "text", Class: class, X: x, Y: y, Text: text})
}

func (d *pen) outline(class, path string, x, y int) {
	d.shapes = append(d.shapes, shape{Kind: "path", Class: class, Text: path, X: x, Y: y})
}

// Outlines, each within 16 by 16.
const (
	outlineArrow   = "M13 8H3m4-4L3 8l4 4"
	outlineChevron = "M6 4l4 4-4 4"
	outlineTick    = "M3 8.5l3.5 3.5L13 4.5"
	outlineLock    = "M4 7h8v7H4zM5.5 7V5a2.5 2.5 0 0 1 5 0v2"
	outlineSeal    = "M8 1.5a4.5 4.5 0 1 0 0 9 4.5 4.5 0 0 0 0-9zM5.5 10L4.5 15 8 13l3.5 2-1-5M6 6l1.5 1.5L10 4.5"
	outlineFile    = "M3 1h7l3 3v11H3zM10 1v3h3M6 11h1.5m0 0a1.5 1.5 0 1 0 0-.1M9 11h2v1.5"
)

// draw lays a picture out.
func (p picture) draw(say func(string, ...any) string) drawing {
	d := &pen{say: say, width: 400}
	if p.phone {
		d.width = 280
	}
	title := say(p.title)
	d.text("title", picMargin, 25, title)
	d.y = 40 + picBetween
	for _, part := range p.parts {
		d.part(part)
		d.y += picBetween
	}
	height := d.y + 4
	frame := []shape{{Kind: "rect", Class: "window", X: 1, Y: 1, W: d.width - 2, H: height - 2}, {Kind: "rect", Class: "rule", X: 1, Y: 39, W: d.width - 2, H: 1}}
	if !p.phone {
		for n := range 3 {
			frame = append(frame, shape{Kind: "rect", Class: "dot", X: d.width - 24 - 16*n, Y: 15, W: 9, H: 9})
		}
	}
	out := drawing{Width: d.width, Height: height, Shapes: append(frame, d.shapes...), Title: say("pic.of", title)}
	if len(d.hot) > 0 {
		out.Title = say("pic.of-marked", title, strings.Join(d.hot, ", "))
	}
	return out
}

// part draws one part.
func (d *pen) part(p picPart) {
	switch p.kind {
	case "path":
		d.path(p)
	case "row":
		d.row(p)
	case "tick", "toggle":
		d.setting(p)
	case "field", "secret":
		d.field(p)
	case "buttons", "tabs":
		d.row2(p)
	case "file":
		d.file(p)
	case "mail":
		d.mail(p)
	}
}

// wrap breaks text into lines that fit.
func picWrap(text string, width int) (out []string) {
	now := ""
	for _, word := range strings.Fields(text) {
		if now != "" && picLetter*len([]rune(now+" "+word)) > width {
			out, now = append(out, now), ""
		}
		now = strings.TrimPrefix(now+" "+word, " ")
	}
	return append(out, now)
}

func picWide(text string) int { return picLetter * len([]rune(text)) }

// mark notes what one has to find, and returns its class.
func (d *pen) class(name string, p picPart, word string) string {
	if p.hot != word {
		return name
	}
	d.hot = append(d.hot, d.say(word))
	return name + " hot"
}

// path draws menus with what is picBetween them, in as many lines as they need.
func (d *pen) path(p picPart) {
	x := picMargin
	for n, word := range p.words {
		text := d.say(word)
		w := min(picWide(text)+16, d.width-2*picMargin)
		if n > 0 {
			if x+16+w > d.width-picMargin {
				x, d.y = picMargin, d.y+34
			}
			d.outline("sign", outlineChevron, x, d.y+6)
			x += 18
		}
		w = min(w, d.width-picMargin-x)
		d.rect(d.class("chip", p, word), x, d.y, w, 28)
		d.text(textOf(p, word), x+8, d.y+19, text)
		x += w + 4
	}
	d.y += 28
}

func textOf(p picPart, word string) string {
	if p.hot == word {
		return "strong"
	}
	return "plain"
}

// arrow points at what one has to find, from the right.
func (d *pen) arrow(p picPart, word string, y int) {
	if p.hot == word {
		d.outline("arrow", outlineArrow, d.width-picMargin-22, y)
	}
}

func (d *pen) row(p picPart) {
	lines := picWrap(d.say(p.words[0]), d.width-2*picMargin-40)
	h := picLine*len(lines) + 12
	d.rect(d.class("row", p, p.words[0]), picMargin, d.y, d.width-2*picMargin, h)
	for n, l := range lines {
		d.text(textOf(p, p.words[0]), picMargin+10, d.y+21+picLine*n, l)
	}
	d.arrow(p, p.words[0], d.y+h/2-8)
	d.y += h
}

// setting is something that is on, with a box before it or a switch after it.
func (d *pen) setting(p picPart) {
	lines := picWrap(d.say(p.words[0]), d.width-2*picMargin-64)
	h := picLine*len(lines) + 12
	d.rect(d.class("row", p, p.words[0]), picMargin, d.y, d.width-2*picMargin, h)
	x := picMargin + 10
	if p.kind == "tick" {
		d.rect("box", x, d.y+h/2-8, 16, 16)
		d.outline("done", outlineTick, x, d.y+h/2-8)
		x += 26
	} else {
		d.rect("switch", d.width-picMargin-44, d.y+h/2-9, 34, 18)
		d.rect("knob", d.width-picMargin-26, d.y+h/2-7, 14, 14)
	}
	for n, l := range lines {
		d.text(textOf(p, p.words[0]), x, d.y+21+picLine*n, l)
	}
	d.y += h
}

// field is a box with a label above it, and in it a value or what hides a passphrase.
func (d *pen) field(p picPart) {
	for _, l := range picWrap(d.say(p.words[0]), d.width-2*picMargin) {
		d.text("label", picMargin, d.y+14, l)
		d.y += picLine
	}
	d.rect(d.class("box", p, p.words[len(p.words)-1]), picMargin, d.y, d.width-2*picMargin, 32)
	value := "••••••••••••"
	if p.kind == "field" {
		value = d.say(p.words[1])
	}
	d.text("plain", picMargin+10, d.y+21, value)
	d.arrow(p, p.words[len(p.words)-1], d.y+8)
	d.y += 32
}

// row2 are buttons or tabs beside each other, in as many lines as they need; buttons stand at the right.
func (d *pen) row2(p picPart) {
	var lines [][]string
	room := 0
	for _, word := range p.words {
		w := picWide(d.say(word)) + 24
		if len(lines) == 0 || w > room {
			lines, room = append(lines, nil), d.width-2*picMargin
		}
		lines[len(lines)-1] = append(lines[len(lines)-1], word)
		room -= w + 8
	}
	for n, words := range lines {
		if n > 0 {
			d.y += 38
		}
		x := picMargin
		if p.kind == "buttons" {
			x = d.width - picMargin + 8
			for _, word := range words {
				x -= picWide(d.say(word)) + 24 + 8
			}
			x = max(x, picMargin)
		}
		for _, word := range words {
			w := min(picWide(d.say(word))+24, d.width-picMargin-x)
			d.rect(d.class(strings.TrimSuffix(p.kind, "s"), p, word), x, d.y, w, 32)
			d.text(textOf(p, word), x+12, d.y+21, d.say(word))
			x += w + 8
		}
	}
	d.y += 32
}

func (d *pen) file(p picPart) {
	d.rect(d.class("row", p, p.words[0]), picMargin, d.y, d.width-2*picMargin, 48)
	d.outline("sign", outlineFile, picMargin+12, d.y+16)
	d.text(textOf(p, p.words[0]), picMargin+40, d.y+29, d.say(p.words[0]))
	d.arrow(p, p.words[0], d.y+16)
	d.y += 48
}

// mail is the head of a mail, with signs that say what it is.
func (d *pen) mail(p picPart) {
	d.rect("row", picMargin, d.y, d.width-2*picMargin, 58)
	d.text("strong", picMargin+12, d.y+24, d.say(p.words[0]))
	d.text("plain", picMargin+12, d.y+45, d.say(p.words[1]))
	x := d.width - picMargin - 34
	for _, sign := range p.signs {
		path, word := outlineSeal, "pic.seal"
		if sign == "lock" {
			path, word = outlineLock, "pic.lock"
		}
		d.rect("ring hot", x-5, d.y+16, 26, 26)
		d.outline("done", path, x, d.y+21)
		d.hot = append(d.hot, d.say(word))
		x -= 34
	}
	d.y += 58
}
