package api

// SignIn is which ways there are to say who is asking, for programs that have to choose one.
type SignIn struct {
	Password    bool            `json:"password" doc:"Login and password of the company's directory, as HTTP Basic."`
	Token       bool            `json:"token" doc:"An enrolment token, to enrol."`
	Certificate bool            `json:"certificate" doc:"A certificate of this installation to sign with, on the TLS connection."`
	Kerberos    *KerberosSignIn `json:"kerberos,omitempty" doc:"The ticket of the computer's login; absent where none is taken."`
	OpenID      *OpenIDSignIn   `json:"openid,omitempty" doc:"The organisation's identity provider, by its device flow (RFC 8628); absent where there is none."`
}

// KerberosSignIn says which tickets are taken.
type KerberosSignIn struct {
	Principals []string `json:"principals" doc:"What tickets must be to: HTTP/name@REALM."`
	Realms     []string `json:"realms" doc:"Whose tickets are taken."`
}

// OpenIDSignIn is what a program needs to have somebody sign in at the identity provider: it gets an ID token there, and sends
// that as a bearer token.
type OpenIDSignIn struct {
	Issuer   string   `json:"issuer" doc:"The provider's address (OpenID Connect Discovery)."`
	ClientID string   `json:"client_id" doc:"By which the provider knows these programs. It has no secret."`
	Scopes   []string `json:"scopes" doc:"What to ask the provider for."`
	Name     string   `json:"name,omitempty" doc:"What people call the provider."`
}
