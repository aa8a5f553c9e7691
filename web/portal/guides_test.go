package portal_test

import (
	"encoding/xml"
	"io"
	"regexp"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"
)

var guideNames = []string{"outlook-windows", "outlook-mac", "outlook-mobile", "apple-ios", "apple-mac", "thunderbird", "evolution", "kmail", "android"}

// agents are what browsers say of themselves, and the guide that comes first for each.
var agents = map[string]string{
	"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36 Edg/140.0.0.0":           "outlook-windows",
	"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15":                   "apple-mac",
	"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1": "apple-ios",
	"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Mobile Safari/537.36":                   "android",
	"Mozilla/5.0 (X11; Linux x86_64; rv:142.0) Gecko/20100101 Firefox/142.0":                                                                  "thunderbird",
	"curl/8.5.0": "outlook-windows", "": "outlook-windows", "<script>alert(1)</script>": "outlook-windows",
}

var guideLink = regexp.MustCompile(`href="/guides/([a-z-]+)"`)

// The program of one's own system comes first, and every other is one click away; nobody has to be signed in.
func TestGuidesFollowTheSystem(t *testing.T) {
	s := setup(t)
	for agent, first := range agents {
		b := s.browser(t)
		b.header.Set("User-Agent", agent)
		got := b.get("/guides")
		got.is(t, agent, 200, "/guides")
		links := guideLink.FindAllStringSubmatch(got.body, -1)
		seen := map[string]bool{}
		for _, l := range links {
			seen[l[1]] = true
		}
		if len(links) == 0 || links[0][1] != first || len(seen) != len(guideNames) || strings.Contains(got.body, "<script>alert") {
			t.Errorf("%q: %v", agent, links)
		}
	}
	b := s.browser(t)
	for _, none := range []string{"/guides/nothing", "/guides/../enrol.go", "/guides/%3Cscript%3E", "/guides/Thunderbird"} {
		if got := b.get(none); got.status != 404 || strings.Contains(got.body, "<script>") && strings.Contains(got.body, "%3Cscript") {
			t.Errorf("%s: %d", none, got.status)
		}
	}
	if got := b.post("/guides", nil); got.status != 404 {
		t.Errorf("posted: %d", got.status)
	}
}

var drawing = regexp.MustCompile(`(?s)<svg class="pic".*?</svg>`)

// Each guide has its steps with pictures in both languages, of nothing but text that is there; pictures are sound and named for who
// does not see them.
func TestGuides(t *testing.T) {
	s := setup(t)
	for _, language := range []string{"en", "de"} {
		b := s.browser(t)
		b.header.Set("Accept-Language", language)
		for _, name := range guideNames {
			got := b.get("/guides/" + name)
			got.is(t, name, 200, "/guides/"+name, `<html lang="`+language+`">`)
			if bare := regexp.MustCompile(`[>"](guides?|pic)\.[a-z]`).FindString(got.body); bare != "" {
				t.Errorf("%s in %s shows a key: %s", name, language, bare)
			}
			pictures := drawing.FindAllString(got.body, -1)
			if len(pictures) < 4 || len(pictures) > 7 || strings.Count(got.body, `<span class="number">`) != len(pictures) {
				t.Errorf("%s has %d pictures", name, len(pictures))
			}
			for _, p := range pictures {
				sound(t, name, p)
			}
			if strings.Contains(got.body, " style=") {
				t.Errorf("%s: something is inline", name)
			}
		}
	}
}

// sound holds that a picture is XML with a name, and that nothing sticks out of it.
func sound(t *testing.T, name, picture string) {
	t.Helper()
	if !strings.Contains(picture, `role="img" aria-label="`) || strings.Contains(picture, "NaN") || strings.Contains(picture, `width="-`) {
		t.Errorf("%s: %s", name, picture)
	}
	d := xml.NewDecoder(strings.NewReader(picture))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Errorf("%s: %v in %s", name, err, picture)
			return
		}
	}
}

// Somebody on a Windows computer finds Outlook's guide, looks at it, and goes to another; every picture's text is within its window.
func TestGuidesInTheBrowser(t *testing.T) {
	s := setup(t)
	ctx := s.chromium(t)
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/guides"), chromedp.WaitVisible(".programs"), pictures(t, "guides"),
		chromedp.Click(`a[href="/guides/thunderbird"]`), chromedp.WaitVisible(".guide"), pictures(t, "guides-thunderbird"),
		chromedp.Click(`.more a[href="/guides/apple-ios"]`), chromedp.WaitVisible(".guide"), pictures(t, "guides-apple-ios")))
	const outside = `[...document.querySelectorAll("svg.pic")].flatMap(p => { const w = p.viewBox.baseVal.width - 4;
		return [...p.querySelectorAll("text")].filter(x => { const b = x.getBBox(); return b.x + b.width > w; }).map(x => x.textContent); })`
	for _, language := range []string{"en", "de"} {
		must(t, chromedp.Run(ctx, chromedp.Evaluate(`fetch("/language", {method: "POST", body: new URLSearchParams({language: "`+language+`", to: "/guides"})}).then(r => r.status)`, nil, awaitPromise)))
		for _, name := range guideNames {
			var over []string
			must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/guides/"+name), chromedp.Evaluate(`document.fonts.ready.then(() => 0)`, nil, awaitPromise), chromedp.Evaluate(outside, &over)))
			if len(over) > 0 {
				t.Errorf("%s in %s: sticks out: %q", name, language, over)
			}
		}
	}
	must(t, chromedp.Run(ctx, chromedp.Navigate(s.server.URL+"/guides/outlook-windows"), pictures(t, "guides-outlook-windows-de")))
}
