package portal

import (
	"net/http"
)

// routeRestore has the pages of older keys on a new device.
func (p *Portal) routeRestore() {
	p.router.Get("/restore", p.known("restore", p.fresh(p.restore)))
}

// restoring is the page on which people get the keys of their older mail back. What it does there is the script's (app/restore.ts),
// which asks the REST interface.
type restoring struct {
	Archive bool // there is one
	Mailbox string
	Steps   []string // of the progress, in order
	Words   map[string]string
}

// restore shows the page.
func (p *Portal) restore(w http.ResponseWriter, r *http.Request, v *visit) error {
	body := restoring{Archive: p.Recovery != nil, Steps: []string{"collect", "verify", "open", "file"}, Words: v.language.words("restore")}
	if len(v.Person.Mailboxes) > 0 {
		body.Mailbox = v.Person.Mailboxes[0]
	}
	return p.show(w, r, v, http.StatusOK, "restore", "restore.title", body)
}
