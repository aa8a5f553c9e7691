package portal

// programs are all that there is a guide for; those of one system stand in the order of how likely people have them there. Names of menus and buttons are those of the programs in the versions of 2025 and 2026.
var programs = []program{
	{Name: "outlook-windows", Icon: "monitor-smartphone", systems: []string{"windows"}, steps: []guideStep{
		{"import", picture{"pic.wizard", false, []picPart{picFile(), picSecret("pic.password"), picRow("pic.store-auto"), picButtons("pic.next", "pic.cancel").mark("pic.next")}}},
		{"choose", picture{"pic.trust-center", false, []picPart{picWay("pic.file-menu", "pic.options", "pic.trust-center", "pic.email-security"), picField("pic.default-setting", "pic.my-settings"), picButtons("pic.settings-dots").mark("pic.settings-dots")}}},
		{"certificates", picture{"pic.change-security", false, []picPart{picField("pic.sign-certificate", "pic.name-signing"), picField("pic.encryption-certificate", "pic.name-encryption"), picButtons("pic.choose").mark("pic.choose"), picTick("pic.send-certificates")}}},
		{"send", picture{"pic.new-mail", false, []picPart{picWay("pic.options", "pic.sign"), picField("pic.to", "pic.colleague"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", false, []picPart{picMail("seal")}}},
	}},
	{Name: "apple-mac", Icon: "laptop-minimal", systems: []string{"mac"}, steps: []guideStep{
		{"import", picture{"pic.keychain", false, []picPart{picFile(), picField("pic.keychain-which", "pic.keychain-login"), picSecret("pic.password"), picButtons("pic.ok").mark("pic.ok")}}},
		{"trust", picture{"pic.keychain", false, []picPart{picRow("pic.root"), picField("pic.smime-trust", "pic.always-trust").mark("pic.always-trust")}}},
		{"restart", picture{"pic.mail", false, []picPart{picWay("pic.mail", "pic.quit")}}},
		{"send", picture{"pic.new-mail", false, []picPart{picField("pic.to", "pic.colleague"), picTick("pic.signed").marked(), picTick("pic.encrypted")}}},
		{"seen", picture{"pic.inbox", false, []picPart{picMail("seal"), picField("pic.security", "pic.signed")}}},
	}},
	{Name: "outlook-mac", Icon: "laptop-minimal", systems: []string{"mac"}, steps: []guideStep{
		{"import", picture{"pic.keychain", false, []picPart{picFile(), picField("pic.keychain-which", "pic.keychain-login"), picSecret("pic.password"), picButtons("pic.ok").mark("pic.ok")}}},
		{"trust", picture{"pic.keychain", false, []picPart{picRow("pic.root"), picField("pic.smime-trust", "pic.always-trust").mark("pic.always-trust")}}},
		{"certificates", picture{"pic.outlook-accounts", false, []picPart{picWay("pic.outlook", "pic.settings", "pic.accounts", "pic.security"), picField("pic.digital-signature", "pic.name-signing"), picField("pic.encryption", "pic.name-encryption")}}},
		{"send", picture{"pic.new-mail", false, []picPart{picWay("pic.options", "pic.security", "pic.sign-message"), picField("pic.to", "pic.colleague"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", false, []picPart{picMail("seal")}}},
	}},
	{Name: "apple-ios", Icon: "smartphone", systems: []string{"ios"}, steps: []guideStep{
		{"import", picture{"pic.safari", true, []picPart{picProfile(), picRow("pic.profile-loaded")}}},
		{"install", picture{"pic.settings", true, []picPart{picRow("pic.profile-loaded").marked(), picSecret("pic.passphrase"), picButtons("pic.install").mark("pic.install")}}},
		{"certificates", picture{"pic.settings", true, []picPart{picWay("pic.apps", "pic.mail", "pic.mail-accounts", "pic.advanced"), picToggle("pic.sign").marked(), picRow("pic.encrypt-default")}}},
		{"send", picture{"pic.new-mail", true, []picPart{picField("pic.to", "pic.colleague-locked"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", true, []picPart{picMail("seal", "lock")}}},
	}},
	{Name: "android", Icon: "smartphone", systems: []string{"android"}, steps: []guideStep{
		{"import", picture{"pic.settings", true, []picPart{picWay("pic.security-privacy", "pic.credentials", "pic.install-certificate"), picRow("pic.app-certificate").marked(), picFile()}}},
		{"install", picture{"pic.settings", true, []picPart{picSecret("pic.password"), picField("pic.certificate-name", "pic.name-mine"), picButtons("pic.ok").mark("pic.ok")}}},
		{"certificates", picture{"pic.mail-app", true, []picPart{picWay("pic.account", "pic.security"), picRow("pic.sign-certificate"), picRow("pic.encryption-certificate"), picToggle("pic.sign").marked()}}},
		{"send", picture{"pic.new-mail", true, []picPart{picField("pic.to", "pic.colleague"), picToggle("pic.sign"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", true, []picPart{picMail("seal")}}},
	}},
	{Name: "outlook-mobile", Icon: "smartphone", systems: []string{"android", "ios"}, steps: []guideStep{
		{"import", picture{"pic.mail-to-self", true, []picPart{picMail(), picFile(), picSecret("pic.password"), picButtons("pic.install").mark("pic.install")}}},
		{"certificates", picture{"pic.settings", true, []picPart{picWay("pic.account", "pic.security"), picToggle("pic.smime").marked(), picRow("pic.sign-certificate"), picRow("pic.encryption-certificate")}}},
		{"send", picture{"pic.new-mail", true, []picPart{picField("pic.to", "pic.colleague"), picWay("pic.more-dots", "pic.sign"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", true, []picPart{picMail("seal")}}},
	}},
	{Name: "thunderbird", Icon: "mail", systems: []string{"linux", "windows", "mac"}, steps: []guideStep{
		{"import", picture{"pic.certificate-manager", false, []picPart{picWay("pic.settings", "pic.privacy", "pic.manage-certificates"), picTabs("pic.your-certificates", "pic.authorities").mark("pic.your-certificates"), picButtons("pic.import").mark("pic.import"), picSecret("pic.password")}}},
		{"trust", picture{"pic.certificate-manager", false, []picPart{picTabs("pic.your-certificates", "pic.authorities").mark("pic.authorities"), picRow("pic.root"), picButtons("pic.edit-trust").mark("pic.edit-trust"), picTick("pic.trust-mail")}}},
		{"certificates", picture{"pic.account-settings", false, []picPart{picRow("pic.end-to-end"), picField("pic.personal-signing", "pic.name-signing"), picField("pic.personal-encryption", "pic.name-encryption"), picButtons("pic.select").mark("pic.select")}}},
		{"send", picture{"pic.new-mail", false, []picPart{picWay("pic.security-menu", "pic.sign-digitally"), picField("pic.to", "pic.colleague"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", false, []picPart{picMail("seal", "lock")}}},
	}},
	{Name: "evolution", Icon: "mail", systems: []string{"linux"}, steps: []guideStep{
		{"import", picture{"pic.evolution-settings", false, []picPart{picWay("pic.edit", "pic.settings", "pic.certificates"), picTabs("pic.your-certificates", "pic.authorities").mark("pic.your-certificates"), picButtons("pic.import-plain").mark("pic.import-plain"), picSecret("pic.password")}}},
		{"trust", picture{"pic.evolution-settings", false, []picPart{picTabs("pic.your-certificates", "pic.authorities").mark("pic.authorities"), picRow("pic.root"), picButtons("pic.edit").mark("pic.edit"), picTick("pic.trust-mail")}}},
		{"certificates", picture{"pic.account-editor", false, []picPart{picWay("pic.edit", "pic.accounts", "pic.security"), picField("pic.sign-certificate", "pic.name-signing"), picField("pic.encryption-certificate", "pic.name-encryption"), picButtons("pic.select-plain").mark("pic.select-plain")}}},
		{"send", picture{"pic.new-mail", false, []picPart{picWay("pic.options", "pic.smime-sign"), picField("pic.to", "pic.colleague"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", false, []picPart{picMail("seal"), picRow("pic.valid-signature").marked()}}},
	}},
	{Name: "kmail", Icon: "mail", systems: []string{"linux"}, steps: []guideStep{
		{"import", picture{"pic.kleopatra", false, []picPart{picWay("pic.file-menu", "pic.import"), picSecret("pic.passphrase"), picButtons("pic.ok").mark("pic.ok")}}},
		{"trust", picture{"pic.kleopatra", false, []picPart{picRow("pic.trust-root"), picButtons("pic.yes", "pic.no").mark("pic.yes")}}},
		{"certificates", picture{"pic.identity", false, []picPart{picWay("pic.configure-kmail", "pic.identities", "pic.cryptography"), picField("pic.smime-sign-certificate", "pic.name-signing"), picField("pic.smime-encryption-certificate", "pic.name-encryption"), picButtons("pic.change").mark("pic.change")}}},
		{"send", picture{"pic.new-mail", false, []picPart{picWay("pic.options", "pic.sign-message-plain"), picField("pic.to", "pic.colleague"), picButtons("pic.send").mark("pic.send")}}},
		{"seen", picture{"pic.inbox", false, []picPart{picMail("seal"), picRow("pic.green-frame").marked()}}},
	}},
}
