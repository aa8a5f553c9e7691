package api

import (
	"time"

	"github.com/google/uuid"
)

// MaxTokens is how many tokens one batch makes at most.
const MaxTokens = 1000

// TokensRequest asks for enrolment tokens for many people.
type TokensRequest struct {
	Mailboxes []string `json:"mailboxes" minItems:"1" maxItems:"1000" doc:"One address of each person."`
	Hours     int      `json:"hours,omitempty" minimum:"1" maximum:"720" default:"72"`
	Use       string   `json:"use,omitempty" enum:"handed,behalf" default:"handed" doc:"As for one token."`
	Tell      bool     `json:"tell,omitempty" doc:"Tell the person by mail that there is a token for them. The mail does not hold it. That it was used they are told in any case."`
}

// Tokens says what became of each line of a TokensRequest, in its order.
type Tokens struct {
	Items []TokenMade `json:"items"`
	Ends  time.Time   `json:"ends" doc:"Of the tokens that were made."`
}

// TokenMade is what became of one line: a token, or why there is none.
type TokenMade struct {
	Mailbox string    `json:"mailbox"`
	Token   string    `json:"token,omitempty" doc:"Shown this once."`
	Number  int64     `json:"number,omitempty" doc:"Of the token, or of the one that was made for the same person by an earlier request of the same name."`
	Person  uuid.UUID `json:"person,omitzero"`
	Code    string    `json:"code,omitempty" doc:"Why no token was made, as a problem document's type ends. token-made: it was made before, and is not shown again."`
	Detail  string    `json:"detail,omitempty" doc:"The same for people."`
}

// MintedToken is what is known of a token that can still be used: never the token.
type MintedToken struct {
	Number int64     `json:"number"`
	Person uuid.UUID `json:"person" doc:"For whom."`
	MadeBy uuid.UUID `json:"made_by"`
	MadeAt time.Time `json:"made_at"`
	Use    string    `json:"use" enum:"handed,behalf"`
	Ends   time.Time `json:"ends"`
}
