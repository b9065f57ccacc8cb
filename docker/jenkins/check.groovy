#!/usr/bin/env groovy
// Checks what Jenkins reads only at startup: casc.yaml and jobs.groovy, against the Jenkinsfile and README.md.
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

/** Replaces the plugin job-dsl: records every call with its arguments, at any depth. */
class Recorder {
  List calls = []
  def methodMissing(String name, arguments) {
    def inner = new Recorder()
    arguments.findAll { it instanceof Closure }.each {
      it.delegate = inner
      it.resolveStrategy = Closure.DELEGATE_FIRST
      it.call()
    }
    calls << [name: name, arguments: arguments.findAll { !(it instanceof Closure) }, calls: inner.calls]
  }
  static List named(List calls, String name) { calls.collectMany { (it.name == name ? [it] : []) + named(it.calls, name) } }
  static values(Map call, String name) { named(call.calls, name).collect { it.arguments[0] } }
}

// The files contain no secrets, and README.md explains each variable.
texts(casc).each { key, text ->
  if (key =~ /(?i)password|secret|privatekey|token|kubeconfig/ && !(text ==~ /\$\{.+\}/)) {
    mistakes << "casc.yaml: the value of `$key` is in the file; take it from a variable"
  }
  (text =~ /\$\{(?:readFileBase64:\/run\/secrets\/)?([A-Z_]+)\}/).each { whole, name ->
    if (!readme.contains("`$name`")) mistakes << "README.md does not explain $name, which casc.yaml needs"
  }
}

// The agents are those that the Jenkinsfile uses.
def labels = (jenkinsfile =~ /label '(.*?)'/).collect { it[1].split(/ \|\| /) as List }.flatten() as Set
def nodes = casc.jenkins.nodes.collect { it.permanent.labelString } as Set
if (labels != nodes) mistakes << "the Jenkinsfile needs the agents $labels, casc.yaml has $nodes"

// jobs.groovy runs, with the variables that casc.yaml provides. Of the classes of Jenkins it needs one.
def provided = casc.jobs.find { it.providedEnv }?.providedEnv ?: [:]
def recorder = new Recorder()
def shell = new GroovyShell(new GroovyClassLoader(this.class.classLoader), new Binding(provided))
shell.classLoader.parseClass('package com.cloudbees.plugins.credentials; class SecretBytes { static fromString(String it) { it } }')
def script = shell.parse(new File('jobs.groovy'))
script.metaClass.methodMissing = { String name, arguments -> recorder.methodMissing(name, arguments) }
script.run()
provided.keySet().findAll { !new File('jobs.groovy').text.contains(it.replaceAll(/_(USER|PASSWORD|DEVELOPMENT|PRODUCTION)/, '')) }.each {
  mistakes << "casc.yaml provides $it, which jobs.groovy does not use"
}

// The folders and jobs: a job is named after an action, and its folder after an environment.
def folders = recorder.calls.findAll { it.name == 'folder' }.collectEntries { [it.arguments[0], it] }
def jobs = recorder.calls.findAll { it.name == 'pipelineJob' }.collectEntries { [it.arguments[0], it] }
def choices = { String parameter ->
  (jenkinsfile =~ /name: '$parameter', choices: \[(.*?)\]/)[0][1].replaceAll(/[' ]/, '').split(',').findAll { it } as List
}
def environments = choices('ENVIRONMENT')
def expected = ['images/build'] + environments.collect { "$it/deploy".toString() }
if (jobs.keySet() as List != expected) mistakes << "the jobs are ${jobs.keySet()}, not $expected"

// Each folder has the credentials that the Jenkinsfile asks for in what its job does, and no others.
def (building, deploying) = jenkinsfile.split(/stage\('Approve'\)/).collect { part ->
  (part =~ /credentialsId: '(.*?)'/).collect { it[1] } as Set
}
folders.each { path, folder ->
  def given = Recorder.values(folder, 'id') as Set
  def asked = path in environments ? deploying : building
  if (given != asked) mistakes << "the folder $path has the credentials ${given.sort()}, the Jenkinsfile needs ${asked.sort()}"
}
def everywhere = casc.credentials.system.domainCredentials.collectMany { it.credentials }.collect { it.values().first().id }
if (everywhere != ['git']) mistakes << "every job sees the credentials $everywhere of the system, not only git"
// No secret is in two folders.
def values = folders.values().collectMany { Recorder.values(it, 'password') + Recorder.values(it, 'secretBytes') }
if (values.unique(false) != values) mistakes << 'two credentials have the same secret'

// Roles: whoever is signed in may look, one group for each folder may start and stop its jobs, and only the administrator more.
def global = casc.jenkins.authorizationStrategy.projectMatrix.entries.collectEntries { entry ->
  def (kind, role) = entry.collect { [it.key, it.value] }[0]
  [("$kind $role.name".toString()): role.permissions]
}
def roles = ['user admin': ['Overall/Administer'], 'group authenticated': ['Overall/Read', 'Job/Read', 'View/Read']]
if (global != roles) mistakes << "everywhere these permissions are given: $global, not $roles"
def groups = folders.collect { path, folder ->
  def entries = Recorder.named(folder.calls, 'entries').collectMany { it.calls }
  if (entries*.name != ['group'] || Recorder.values(folder, 'permissions') != [['Job/Build', 'Job/Cancel']]) {
    mistakes << "the folder $path gives more than Job/Build and Job/Cancel to one group"
  }
  Recorder.named(entries, 'name')*.arguments*.first()
}.flatten()
if (groups.unique(false) != groups) mistakes << "the same group is set for two folders: $groups"

// A parameter that a job does not have would be unset in its first run.
def parameters = (jenkinsfile =~ /(?:choice|string)\(name: '(\w+)'(?:, choices: \[(.*?)\])?/).collect { whole, name, listed ->
  [name, listed == null ? null : listed.split(',').collect { it.replaceAll(/[' ]/, '') }]
}
jobs.each { name, job ->
  Recorder.values(job, 'scriptPath').each {
    if (!new File('../..', it).exists()) mistakes << "$name: there is no $it"
  }
  if (Recorder.values(Recorder.named(job.calls, 'remote')[0], 'credentials') != everywhere) {
    mistakes << "$name: the repository is read with another credential than $everywhere"
  }
  def declared = Recorder.named(job.calls, 'choiceParam').collect { [it.arguments[0], it.arguments[1]] } +
    Recorder.named(job.calls, 'stringParam').collect { [Recorder.values(it, 'name')[0], null] }
  if (declared != parameters) mistakes << "$name: the parameters are $declared, those of the Jenkinsfile $parameters"
}

mistakes.each { System.err.println "docker/jenkins: $it" }
println "casc.yaml and jobs.groovy: ${folders.size()} folders, jobs ${jobs.keySet().join(', ')}"
System.exit(mistakes ? 1 : 0)
