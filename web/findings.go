package web

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

// findings says which fields are wrong, and how, in one sentence each, the first few.
func findings(op *huma.Operation, errs []error) string {
	const most = 5
	var out []string
	for _, err := range errs {
		d, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		detail := d.ErrorDetail()
		if body, ok := detail.Value.(string); ok && detail.Location == "body" {
			if named := bodyFindings(op, body); len(named) > 0 {
				out = append(out, named...)
				continue
			}
		}
		out = append(out, fmt.Sprintf("%s: %s.", detail.Location, strings.TrimPrefix(detail.Message, "json: ")))
	}
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("And %d more.", len(out)-most))
	}
	return strings.Join(out, " ")
}

// bodyFindings says which members of a body cannot be read. Bodies are decoded at once and without looking at each
// member, because nearly all are right; only for one that is not is it worth to find out where.
func bodyFindings(op *huma.Operation, body string) []string {
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		return []string{"body: this is not a JSON object."}
	}
	known := op.Metadata[metadataBody].(map[string]*huma.Schema)
	var out []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		s := known[strings.ToLower(name)]
		switch {
		case s == nil:
			out = append(out, fmt.Sprintf("body.%s: there is no such member.", clip(name)))
		case s.ContentEncoding == "base64" && json.Unmarshal(members[name], new([]byte)) != nil:
			out = append(out, fmt.Sprintf("body.%s: this is not standard base64 with padding, in a string.", name))
		case s.Type == huma.TypeString && s.ContentEncoding == "" && json.Unmarshal(members[name], new(string)) != nil:
			out = append(out, fmt.Sprintf("body.%s: this is not a string.", name))
		}
	}
	return out
}

// clip shortens what came from outside to what a person needs to recognise it.
func clip(s string) string {
	const most = 64
	if runes := []rune(strings.ToValidUTF8(s, "\ufffd")); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return strings.ToValidUTF8(s, "\ufffd")
}
