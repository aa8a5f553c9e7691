package proof

import (
	"bytes"
	"encoding/json"
)

// maxEvent is the size of the largest event that the log takes, in bytes (audit.MaxBody).
const maxEvent = 64 << 10

// ErrEvent is returned for what is no event of an audit log.
var ErrEvent = ErrMalformed.Withf("This is not an event of an audit log.")

// Event is what a body says (docs/decisions/0004-audit-log.md), as far as those who check proofs read it.
type Event struct {
	Kind    string
	Subject string
	data    json.RawMessage
}

// ParseEvent parses a body. A body that two readers could understand differently, because a member comes twice or is
// spelt in another way, is refused, or the member is taken for absent.
func ParseEvent(body []byte) (Event, error) {
	if len(body) > maxEvent {
		return Event{}, ErrEvent
	}
	m, err := members(body)
	if err != nil {
		return Event{}, err
	}
	e := Event{data: m["data"]}
	if string(m["v"]) != "1" {
		return Event{}, ErrEvent
	}
	for name, to := range map[string]*string{"kind": &e.Kind, "subject": &e.Subject} {
		if raw := m[name]; raw != nil {
			if err := json.Unmarshal(raw, to); err != nil {
				return Event{}, ErrEvent.Because(err)
			}
		}
	}
	return e, nil
}

// Text returns a member of the event's particulars that is text; "" if there is none.
func (e Event) Text(name string) string {
	if len(e.data) == 0 {
		return ""
	}
	m, err := members(e.data)
	if err != nil {
		return "" // particulars that are no object, or ambiguous, name nothing
	}
	var s string
	if raw := m[name]; raw == nil || json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return s
}

// members returns the members of a JSON object, each of which must be there once.
func members(object []byte) (map[string]json.RawMessage, error) {
	if !json.Valid(object) {
		return nil, ErrEvent
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, ErrEvent.Because(err)
	}
	out := map[string]json.RawMessage{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		var raw json.RawMessage
		if err != nil || !ok || d.Decode(&raw) != nil {
			return nil, ErrEvent.Because(err)
		}
		if _, twice := out[name]; twice {
			return nil, ErrEvent
		}
		out[name] = raw
	}
	return out, nil
}
