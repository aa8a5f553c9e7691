package portal

// routeCertificates has the pages of what people have, renew, revoke and get again.
func (p *Portal) routeCertificates() {}
