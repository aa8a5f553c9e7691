package portal

import (
	"fmt"
	"net/http"
	"time"

	xlanguage "golang.org/x/text/language"
)

// language is one that the portal speaks, by its BCP 47 tag.
type language string

const (
	english language = "en"
	german  language = "de"
)

// languages are all of them, the one for everybody else first.
var languages = []language{english, german}

var matcher = xlanguage.NewMatcher([]xlanguage.Tag{xlanguage.English, xlanguage.German})

const languageCookie = "language"

// languageOf is what somebody chose, or what their browser asks for.
func languageOf(r *http.Request) language {
	if c, err := r.Cookie(languageCookie); err == nil {
		if l, ok := parseLanguage(c.Value); ok {
			return l
		}
	}
	tags, _, err := xlanguage.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil {
		return languages[0]
	}
	_, n, _ := matcher.Match(tags...)
	return languages[n]
}

func parseLanguage(s string) (language, bool) {
	for _, l := range languages {
		if string(l) == s {
			return l, true
		}
	}
	return "", false
}

// chooseLanguage keeps the language that somebody chose for a year.
func (p *Portal) chooseLanguage(w http.ResponseWriter, r *http.Request, _ *visit) error {
	form, err := readForm(w, r)
	if err != nil {
		return err
	}
	l, ok := parseLanguage(form.Get("language"))
	if !ok {
		return ErrForm
	}
	http.SetCookie(w, &http.Cookie{Name: languageCookie, Value: string(l), Path: "/", MaxAge: 365 * 24 * 3600, Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	http.Redirect(w, r, ownPath(form.Get("to")), http.StatusSeeOther)
	return nil
}

// say returns a text in the language, its placeholders filled. A text that is missing shows its key: a test finds it first.
func (l language) say(key string, args ...any) string {
	t, ok := texts[key]
	if !ok {
		return key
	}
	form := t.EN
	if l == german {
		form = t.DE
	}
	if len(args) == 0 {
		return form
	}
	return fmt.Sprintf(form, args...)
}

var months = map[language][]string{
	english: {"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
	german:  {"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
}

// date writes a day as people say it.
func (l language) date(t time.Time) string {
	if l == german {
		return fmt.Sprintf("%d. %s %d", t.Day(), months[l][t.Month()-1], t.Year())
	}
	return fmt.Sprintf("%d %s %d", t.Day(), months[l][t.Month()-1], t.Year())
}
