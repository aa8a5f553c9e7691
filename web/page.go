package web

import (
	"strconv"

	"github.com/google/uuid"

	"github.com/sealpost/sealpost/archive/record"
)

// Page is what every list can be asked for. (It is exported for huma, which does not look into other embedded structs.)
type Page struct {
	After string `query:"after" maxLength:"64" doc:"The next value of the page before; empty for the first page."`
	Limit int    `query:"limit" minimum:"1" maximum:"500" default:"100" doc:"How many items at most."`
}

// id returns After where lists go by ids.
func (p Page) id() (uuid.UUID, error) {
	if p.After == "" {
		return uuid.Nil, nil
	}
	id, err := uuid.Parse(p.After)
	if err != nil {
		return id, ErrRequest.Withf("query.after: this is not the next value of a page.")
	}
	return id, nil
}

// number returns After where lists go by numbers.
func (p Page) number() (int64, error) {
	if p.After == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(p.After, 10, 64)
	if err != nil || n <= 0 {
		return 0, ErrRequest.Withf("query.after: this is not the next value of a page.")
	}
	return n, nil
}

// position returns After where lists go by positions in a case.
func (p Page) position() (int, error) {
	if p.After == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(p.After)
	if err != nil || n < 0 || n > record.MaxRecords {
		return 0, ErrRequest.Withf("query.after: this is not the next value of a page.")
	}
	return n, nil
}
