package portal

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// enrolment is the page on which a browser makes keys and gets certificates for them. What it does there is the script's
// (app/enrol.ts), which asks the REST interface.
type enrolment struct {
	Mailboxes []string
	Enrolment string   // which of the policy's, if the address says so
	Have      bool     // there are certificates already
	Renew     bool     // they end soon
	Steps     []string // of the progress, in order
	Words     map[string]string
	Mail      string // what a profile for Apple's devices says, as JSON (app/profile.ts)
	Apple     bool   // it is one of those
}

// enrol shows the page.
func (p *Portal) enrol(w http.ResponseWriter, r *http.Request, v *visit) error {
	found, err := p.mine(r.Context(), v)
	if err != nil {
		return err
	}
	e := enrolment{Mailboxes: v.Person.Mailboxes, Enrolment: r.URL.Query().Get("enrolment"), Steps: []string{"keys", "send", "archive", "issue", "file"}, Words: v.language.words()}
	mail, err := json.Marshal(p.appleSettings())
	if err != nil {
		return err
	}
	system := systemOf(r)
	e.Mail, e.Apple = string(mail), system == "ios" || system == "mac"
	all := cards(found)
	for _, c := range all {
		e.Have = e.Have || !c.Missing()
	}
	next, due := p.next(all)
	e.Renew = next == "renew" || due
	return p.show(w, r, v, http.StatusOK, "enrol", "enrol.title", e)
}

// appleSettings are what the page puts into a profile for Apple's devices beside somebody's certificates.
func (p *Portal) appleSettings() any {
	type account struct {
		IMAP     string `json:"imap"`
		IMAPPort int    `json:"imapPort"`
		SMTP     string `json:"smtp"`
		SMTPPort int    `json:"smtpPort"`
		Login    string `json:"login"`
	}
	out := struct {
		Organisation string   `json:"organisation"`
		Account      *account `json:"account,omitempty"`
		Sign         bool     `json:"sign"`
		Encrypt      bool     `json:"encrypt"`
	}{Organisation: p.Organisation, Sign: p.Mail.Sign, Encrypt: p.Mail.Encrypt}
	if a := p.Mail.Account.Complete(); a.IMAP != "" {
		out.Account = &account{a.IMAP, a.IMAPPort, a.SMTP, a.SMTPPort, a.Login}
	}
	return out
}

// words are what a script may say: the shared ones ("word.NAME"), those of areas ("word.AREA.NAME"), all by what stands after
// "word.", and every fault that we have our own words for.
func (l language) words(areas ...string) map[string]string {
	out := map[string]string{}
	for key := range texts {
		if name, ok := strings.CutPrefix(key, "word."); ok {
			if area, _, inside := strings.Cut(name, "."); !inside || slices.Contains(areas, area) {
				out[name] = l.say(key)
			}
		}
		if code, ok := strings.CutPrefix(key, "fault."); ok {
			out["fault-"+code] = l.say(key)
		}
	}
	return out
}
