#!/usr/bin/env groovy
// Checks what Jenkins reads only at startup: casc.yaml and the jobs, against the Jenkinsfile and README.md.
// groovy -cp snakeyaml.jar check.groovy, in this folder. Prints each mistake and exits with 1.
import org.yaml.snakeyaml.Yaml

def mistakes = []
def casc = new Yaml().load(new File('casc.yaml').text)
def jenkinsfile = new File('../../Jenkinsfile').text
def readme = new File('README.md').text

/** All texts in a tree of maps and lists, with the key that each stands at. */
def texts(node, key = '') {
  if (node instanceof Map) return node.collectMany { texts(it.value, it.key) }
  if (node instanceof List) return node.collectMany { texts(it, key) }
  [[key, node as String]]
}

// The file contains no secrets, and README.md explains each variable.
texts(casc).each { key, text ->
  if (key in ['password', 'secret', 'secretBytes', 'privateKey', 'token'] && !(text ==~ /\$\{.+\}/)) {
    mistakes << "casc.yaml: the value of `$key` is in the file; take it from a variable"
  }
  (text =~ /\$\{(?:readFileBase64:\/run\/secrets\/)?([A-Z_]+)\}/).each { whole, name ->
    if (!readme.contains("`$name`")) mistakes << "README.md does not explain $name, which casc.yaml needs"
  }
}

// The credentials and agents are exactly those that the Jenkinsfile uses.
def credentials = casc.credentials.system.domainCredentials.collectMany { it.credentials }
def given = credentials.collect { it.values().first().id } as Set
def environments = (jenkinsfile =~ /name: 'ENVIRONMENT', choices: \[(.*?)\]/)[0][1].replaceAll(/[' ]/, '').split(',')
def asked = (jenkinsfile =~ /credentialsId: (?:'|")([^'"]+)/).collect { it[1] }.collectMany { id ->
  id.contains('${params.ENVIRONMENT}') ? environments.collect { id.replace('${params.ENVIRONMENT}', it) } : [id]
} as Set
def labels = (jenkinsfile =~ /label '(.*?)'/).collect { it[1] } as Set
def nodes = casc.jenkins.nodes.collect { it.permanent.labelString } as Set
if (labels != nodes) mistakes << "the Jenkinsfile needs the agents $labels, casc.yaml has $nodes"

/** Replaces the plugin job-dsl: records every call with its arguments, at any depth. */
class Recorder {
  List calls = []
  def methodMissing(String name, arguments) {
    def inner = new Recorder()
    arguments.findAll { it instanceof Closure }.each { it.delegate = inner; it.resolveStrategy = Closure.DELEGATE_FIRST; it.call() }
    calls << [name: name, arguments: arguments.findAll { !(it instanceof Closure) }, calls: inner.calls]
  }
  static List named(List calls, String name) { calls.collectMany { (it.name == name ? [it] : []) + named(it.calls, name) } }
}

// The parameters of the Jenkinsfile: the name, and the choices if there are any.
def parameters = (jenkinsfile =~ /(?:choice|string)\(name: '(\w+)'(?:, choices: \[(.*?)\])?/).collect { whole, name, choices ->
  [name, choices == null ? null : choices.split(',').collect { it.replaceAll(/[' ]/, '') }]
}

// The job scripts run, and define the jobs whose names are actions of the Jenkinsfile.
def provided = casc.jobs.find { it.providedEnv }?.providedEnv ?: [:]
def files = casc.jobs.findResults { it.file }
def made = files.collectMany { file ->
  def recorder = new Recorder()
  def script = new GroovyShell(this.class.classLoader, new Binding(provided)).parse(new File('jobs', new File(file).name))
  script.metaClass.methodMissing = { String name, arguments -> recorder.methodMissing(name, arguments) }
  script.run()
  asked.addAll(Recorder.named(recorder.calls, 'credentials')*.arguments*.first())
  Recorder.named(recorder.calls, 'scriptPath').each {
    if (!new File('../..', it.arguments[0]).exists()) mistakes << "$file: there is no ${it.arguments[0]}"
  }
  // A parameter that the job does not have would be unset in its first run.
  def declared = Recorder.named(recorder.calls, 'choiceParam').collect { [it.arguments[0], it.arguments[1]] } +
    Recorder.named(recorder.calls, 'stringParam').collect { [Recorder.named(it.calls, 'name')[0].arguments[0], null] }
  if (declared != parameters) mistakes << "$file: the parameters are $declared, those of the Jenkinsfile $parameters"
  recorder.calls*.arguments*.first()
}
if (made != ['build', 'deploy']) mistakes << "the jobs are $made, not build and deploy"
if (asked != given) mistakes << "credentials: the Jenkinsfile needs ${asked.sort()}, casc.yaml has ${given.sort()}"

mistakes.each { System.err.println "docker/jenkins: $it" }
println "casc.yaml: ${given.size()} credentials, jobs ${made.join(', ')}"
System.exit(mistakes ? 1 : 0)
