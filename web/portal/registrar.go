package portal

// routeRegistrar has the pages of requests, people and tokens.
func (p *Portal) routeRegistrar() {}
