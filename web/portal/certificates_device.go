package portal

import "net/http"

// otherDevice is the page that says how one gets to one's mail on another device.
type otherDevice struct {
	Cards    []card
	Archived bool // encryption keys are archived here
	Ways     map[string]bool
}

// anotherDevice says what is possible: signing keys exist only where they were made.
func (p *Portal) anotherDevice(w http.ResponseWriter, r *http.Request, v *visit) error {
	found, err := p.mine(r.Context(), v)
	if err != nil {
		return err
	}
	o := otherDevice{Archived: p.Archive != nil, Ways: map[string]bool{}}
	for _, c := range cards(found) {
		if !c.Missing() {
			o.Cards = append(o.Cards, c)
		}
	}
	for _, name := range []string{"restore", "guides"} {
		o.Ways[name] = p.leads("/" + name)
	}
	return p.show(w, r, v, http.StatusOK, "another-device", "device.title", o)
}
