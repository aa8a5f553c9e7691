package api

import "time"

// MaxParcel is how many bytes a parcel has at most.
const MaxParcel = 4 << 20

// Parcel is something that one device of a person left for another: sealed before it came, and opaque to the server.
type Parcel struct {
	Name    string     `json:"name"`
	Size    int        `json:"size" doc:"In bytes."`
	SHA256  string     `json:"sha256" doc:"Of the content; lower-case hexadecimal."`
	KeptAt  time.Time  `json:"kept_at"`
	EndsAt  *time.Time `json:"ends_at,omitempty" doc:"It is gone after that; absent if it stays."`
	Content []byte     `json:"content,omitempty" doc:"Left out in lists."`
}

// ParcelContent is what is to be kept.
type ParcelContent struct {
	Content  []byte `json:"content" doc:"At most 4 MiB."`
	Replaces string `json:"replaces,omitempty" pattern:"^[0-9a-f]{64}$" doc:"The SHA-256 of the parcel of this name that it takes the place of."`
	Minutes  int    `json:"minutes,omitempty" minimum:"0" maximum:"1440" doc:"How long it is kept; 0 or absent: until it is removed."`
}
