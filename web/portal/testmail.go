package portal

// routeTestMail has the pages of the test mail.
func (p *Portal) routeTestMail() {}
