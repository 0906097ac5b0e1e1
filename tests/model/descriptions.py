"""A few dozen vulnerability descriptions, written for the tests; two of each are held out."""

DESCRIPTIONS = {
    79: [
        "The display name of a member is printed into the page as it was typed, markup included.",
        "Comments keep their angle brackets, so a visitor's browser runs what a stranger wrote.",
        "The search term is echoed in the heading unencoded, and a crafted link runs code there.",
        "An event handler can be put into an image tag of a forum post.",
        "The error page repeats the address it was called with, tags and all.",
        "A calendar entry's title may hold a tag that acts when a colleague opens the month view.",
    ],
    89: [
        "The article number is glued into the WHERE clause, so a quote ends the string early.",
        "By adding a UNION to the sort order a guest reads the table of accounts.",
        "The statistics module puts the date field into its query; pauses reveal the data slowly.",
        "A backslash in the user name breaks the text of the look-up and opens the ledger.",
        "Filtering orders by customer passes the value unquoted to the table engine.",
        "The report's group column reaches the statement as it came; other tables can be joined.",
    ],
    22: [
        "Dot-dot segments in the download name lead out of the folder meant for attachments.",
        "The template parameter accepts an absolute name and returns the host's password list.",
        "Names in an unpacked archive may climb upwards and overwrite the start script.",
        "The language switch includes whatever local name it is given.",
        "An encoded slash lets the image viewer open settings kept above its directory.",
        "The log viewer shows any document on the disk when its name starts with two dots.",
    ],
    78: [
        "The host to be pinged is handed to a shell, and a semicolon starts a second program.",
        "Backticks in the backup label are carried out by the operating system.",
        "The router's time server field ends up in a system call with root rights.",
        "A pipe sign in the file name runs another program while the thumbnail is made.",
        "The diagnostics page starts traceroute with unfiltered arguments.",
        "The printer's mail address is put on a command line, so further programs can be appended.",
    ],
    94: [
        "The formula field is evaluated as source of the script language on the server.",
        "Double braces in a greeting are computed by the template engine, down to the interpreter.",
        "The plug-in stores a setting that is later run as part of the page's program.",
        "Log messages with a look-up expression load a class from a foreign directory server.",
        "The rule editor passes an expression to the evaluator with all objects in reach.",
        "Placeholders in the invoice text are computed, and from there the runtime can be called.",
    ],
    918: [
        "The preview fetches any address it is told, those of the internal network included.",
        "By naming the metadata service as avatar source a tenant obtains the machine's keys.",
        "The webhook tester connects to loopback ports on behalf of the caller.",
        "The document converter loads pictures from hosts that only the server can see.",
        "Feeds may point to private addresses, and the answer is shown to the subscriber.",
        "The import wizard downloads from a link and can be aimed at a neighbour's admin port.",
    ],
    601: [
        "After the login the visitor is sent to the page in the return parameter, anywhere.",
        "Two slashes at the start of the next field lead to a foreign site that looks alike.",
        "The logout link forwards to any host, which helps phishing.",
        "The language chooser jumps to an address from the query without checking its host.",
        "A link of the trusted portal can bring the user to a page of the attacker.",
        "The short link service forwards guests to external pages given in the address itself.",
    ],
    611: [
        "The importer resolves entities declared in the document type and returns local files.",
        "A SOAP message may declare an outside entity, whose content appears in the fault.",
        "The SVG renderer follows SYSTEM identifiers.",
        "Spreadsheets are parsed with document type definitions switched on.",
        "The feed parser loads the definition named in the prolog and discloses what it reads.",
        "An uploaded layout description can pull in files by an entity with a SYSTEM identifier.",
    ],
    502: [
        "The session cookie holds a serialised object that is restored without any check.",
        "The message queue accepts Java streams, and a chain of known classes starts programs.",
        "A pickled cache entry can be replaced by the user and is loaded again.",
        "The view state is trusted and turned back into objects.",
        "Restoring a saved basket calls methods of classes that the sender chooses.",
        "The remote interface unmarshals objects from anybody, gadgets included.",
    ],
    434: [
        "The avatar form takes a script with a double ending and places it below the web root.",
        "Only the media type is looked at, so a page with code can be sent as a picture.",
        "Résumés may be of any kind; those with server code are run when opened.",
        "The gallery stores whatever is sent under its own name, and calling it runs it.",
        "The theme installer accepts an archive with executable pages.",
        "A support ticket's attachment with a server-side ending can be called by its address.",
    ],
    93: [
        "Line breaks in the language parameter end up in the head of the answer.",
        "The mail form lets a sender add recipients by a carriage return in the subject.",
        "A cookie value is written with its line feeds, so that a second answer can be forged.",
        "The forwarder and the server disagree on the length of a message with two length lines.",
        "An encoded line feed in the redirect target adds headers of the attacker's choice.",
        "The tracking number is copied into a header, returns and feeds included.",
    ],
}


def records():
    """JSON records as `dragoman intel add` reads them: early years, and 2023 for those held out."""
    for cwe, texts in DESCRIPTIONS.items():
        for i, text in enumerate(texts):
            year = 2023 if i >= 4 else 2015 + i
            yield {"cve": f"CVE-{year}-9{cwe:04}{i}", "cwe": [f"CWE-{cwe}"], "description": text}
